/** Records of unconfirmed changes: one of many claims them, and a crash at any point leaves something that can be ended. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { Records, type UndoRecord } from "@muster/agent/unconfirmed";
import { randomId } from "@muster/ports/dispatch";
import * as assert from "uvu/assert";
import { temporaryDirectory } from "../../kit/child.ts";
import { suite } from "../../kit/suite.ts";

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

suite("unconfirmed", (test) => {
  let place: Awaited<ReturnType<typeof temporaryDirectory>>;
  let records: Records;
  test.before.each(async () => {
    place = await temporaryDirectory("records");
    records = new Records(join(place.path, "unconfirmed"));
  });
  test.after.each(() => place.release());

  test("of many that would end it, one does", async () => {
    const id = randomId();
    await records.begin(id);
    await records.put(recordOf(id));
    const claims = await Promise.all(
      Array.from({ length: 20 }, (_, at) => records.claim(id, at % 2 === 0 ? "undoing" : "confirming")),
    );
    assert.is(claims.filter(Boolean).length, 1);
  });

  test("goes from record to undone, and is told with its reason", async () => {
    const id = randomId();
    await records.begin(id);
    await records.put(recordOf(id));
    assert.equal(await records.list(), [{ id, phase: "record" }]);
    await records.claim(id, "undoing");
    assert.is(await records.phase(id), "undoing");
    const record = await records.read(id, "undoing");
    await records.finishUndo({ record, at: 5, why: "imports fell", error: null });
    assert.is(await records.phase(id), "undone");
    assert.is((await records.readUndone(id)).why, "imports fell");
    await records.remove(id);
    assert.equal(await records.list(), []);
  });

  test("a directory without a record was never armed, and goes", async () => {
    mkdirSync(join(place.path, "unconfirmed", randomId()), { recursive: true });
    assert.equal(await records.list(), []);
  });

  test("a directory with files and no phase is left to its maker", async () => {
    const id = randomId();
    const kept = join(await records.begin(id), "kept.conf");
    writeFileSync(kept, "x");
    assert.equal(await records.list(), []);
    assert.ok(existsSync(kept));
  });

  test("one that is claimed while others look is never missed, nor removed", async () => {
    for (let round = 0; round < 150; round++) {
      const id = randomId();
      await records.begin(id);
      await records.put(recordOf(id));
      const looks = Array.from({ length: 8 }, () => records.phase(id));
      const listed = records.list();
      // The claim comes at another point of the others' looks each time.
      for (let later = 0; later < round % 6; later++) await stat(place.path);
      assert.ok(await records.claim(id, "undoing"));
      const seen = [...(await Promise.all(looks)), (await listed)[0]?.phase ?? null];
      assert.not(seen.includes(null), `round ${round}: ${seen.join()}`);
      assert.is(await records.phase(id), "undoing");
      await records.remove(id);
    }
  });

  test("one whose undo was done when its process died is undone, not begun anew", async () => {
    const id = randomId();
    await records.begin(id);
    await records.put(recordOf(id));
    await records.claim(id, "undoing");
    const record = await records.read(id, "undoing");
    await records.finishUndo({ record, at: 5, why: "imports fell", error: null });
    writeFileSync(join(place.path, "unconfirmed", id, "undoing.json"), JSON.stringify(record));
    assert.is(await records.phase(id), "undone");
  });
});
