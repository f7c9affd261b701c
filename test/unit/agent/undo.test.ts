/** Taking back: who may remove a record, and how often one death of the agent counts. */
import { join } from "node:path";
import { Ledger } from "@muster/agent/ledger";
import { CRASHED, recover } from "@muster/agent/recover";
import { Records, type UndoRecord } from "@muster/agent/unconfirmed";
import { takeBack } from "@muster/agent/undo";
import { randomId } from "@muster/ports/dispatch";
import { FleetError } from "@muster/protocol/errors";
import * as assert from "uvu/assert";
import { temporaryDirectory } from "../../kit/child.ts";
import { suite } from "../../kit/suite.ts";
import { portsBelow } from "./resources/private-bird.ts";

const recordOf = (id: string): UndoRecord => ({
  v: 1,
  id,
  ref: "bird/main",
  generation: 1,
  spec_hash: "0".repeat(64),
  snapshot: { a: 1 },
  armed_at: 1,
  undo_at: 2,
});
const nobody = async () => null;

suite("undo", (test) => {
  let place: Awaited<ReturnType<typeof temporaryDirectory>>;
  let records: Records;
  let disarmed: string[];
  const door = () => ({
    records,
    disarm: async (id: string) => {
      disarmed.push(id);
    },
  });
  const claimed = async (id = randomId()) => {
    await records.begin(id);
    await records.put(recordOf(id));
    await records.claim(id, "undoing");
    return id;
  };
  const finished = async (id: string, why: string) => {
    await records.finishUndo({ record: recordOf(id), at: 5, why, error: null });
    return records.readUndone(id);
  };
  test.before.each(async () => {
    place = await temporaryDirectory("undo");
    records = new Records(join(place.path, "unconfirmed"));
    disarmed = [];
  });
  test.after.each(() => place.release());

  test("what we took back is over: disarmed and removed, also in an agent that is stopping", async () => {
    const id = await claimed();
    const undone = await takeBack(door(), () => finished(id, "lost"), id, AbortSignal.abort());
    assert.is(undone?.why, "lost");
    assert.equal(disarmed, [id]);
    assert.is(await records.phase(id), null);
  });

  test("what another hand took back is over when it says so", async () => {
    const id = await claimed();
    setTimeout(() => void finished(id, "by hand"), 100);
    const undone = await takeBack(door(), nobody, id, new AbortController().signal);
    assert.is(undone?.why, "by hand");
    assert.is(await records.phase(id), null);
  });

  test("while another hand is at it, its record stays for recovery", async () => {
    const id = await claimed();
    assert.is(await takeBack(door(), nobody, id, new AbortController().signal, 300), null);
    assert.is(await records.phase(id), "undoing");
    const stopped = await takeBack(door(), nobody, id, AbortSignal.abort()).catch((error) => error);
    assert.is(stopped instanceof FleetError && stopped.code, "CANCELLED");
    assert.is(await records.phase(id), "undoing");
    assert.equal(disarmed, []);
  });

  test("one death of the agent counts once, however often its record is found", async () => {
    const { signal } = new AbortController();
    const ledger = await Ledger.open(join(place.path, "ledger.json"), join(place.path, "manifests"));
    const armer = { arm: async () => {}, disarm: door().disarm };
    const events = { tell: () => {}, run: async () => {} };
    const start = async (id: string) => {
      await finished(await claimed(id), CRASHED);
      await recover(records, armer, ledger, events, portsBelow(place.path, signal), signal);
      return ledger.state.undone["bird/main"]?.crashed;
    };
    const first = randomId();
    assert.is(await start(first), true);
    assert.is(await start(first), true, "the same record");
    assert.is(await start(randomId()), false, "a second death");
  });
});
