/** A rollout that is aborted in the very moment in which a wave is decided: whoever loses the compare-and-set publishes nothing of it. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Bus } from "@muster/ports/bus";
import { openLog } from "@muster/ports/log";
import { openRelease, subjects, verifierOf } from "@muster/protocol";
import { loadEnvelope } from "@muster/protocol/envelope";
import * as assert from "uvu/assert";
import { abortRollout, readRollout } from "../../../../packages/controller/src/rollout/abort.ts";
import { RolloutEngine } from "../../../../packages/controller/src/rollout/engine.ts";
import { beginRollout } from "../../../../packages/controller/src/rollout/state.ts";
import { startFleet, type TestFleet } from "../../../kit/fleet.ts";
import type { Person } from "../../../kit/people.ts";
import { makeHost, signRollout, type TestHost } from "../../../kit/rollout.ts";
import { suite } from "../../../kit/suite.ts";

suite(
  "a rollout aborted in the moment of a wave",
  (test) => {
    let fleet: TestFleet;
    let alice: Person;
    let raw: Bus;
    let host: TestHost;
    const life = new AbortController();

    /** As `ctl.apply` leaves it: release and manifest stored, nothing published; then an engine takes it up over this bus. */
    const takeUp = async (generation: number, bus: Bus): Promise<string> => {
      const signed = signRollout(fleet, alice, { core1: host.id }, { generation, waves: [["core1"]] });
      const release = loadEnvelope(signed.release);
      const staged = loadEnvelope(signed.manifests[0]?.manifest ?? signed.release);
      const kept = { headers: staged.headers };
      await raw.publishStored(subjects.staged(signed.id, host.id), staged.body, kept);
      await raw.publishStored(subjects.release(signed.id), release.body, { headers: release.headers });
      const opened = openRelease(signed.id, release, verifierOf(fleet.bundle));
      const state = beginRollout(opened.release, "alice", Date.now());
      await raw.kv("rollouts").create(signed.id, Buffer.from(JSON.stringify(state)));
      const engine = new RolloutEngine({
        bus,
        fleet: fleet.name,
        log: openLog({ name: "controller", level: "silent" }),
        now: Date.now,
        verifier: () => verifierOf(fleet.bundle),
        fact: () => ({ heard_at: Date.now(), changed_at: null, convergence: null }),
        emit: () => undefined,
      });
      await engine.lead();
      life.signal.addEventListener("abort", () => engine.yield());
      return signed.id;
    };

    test.before(async () => {
      fleet = await startFleet();
      alice = await fleet.person("alice");
      raw = (await fleet.connect("controller", "raw", life.signal)).bus;
      host = await makeHost(fleet, "core1", raw, verifierOf(fleet.bundle), life.signal);
      host.answer = null;
    });
    test.after(async () => {
      life.abort();
      await fleet.stop();
    });

    test("the abort comes first: nothing goes out", async () => {
      let lost = 0;
      const slow: Bus = Object.create(raw, {
        kv: {
          value: (bucket: Parameters<Bus["kv"]>[0]) => {
            const kv = raw.kv(bucket);
            const update: typeof kv.update = async (key, value, revision, options) => {
              lost += 1;
              await abortRollout(raw, key, "bob", Date.now);
              return kv.update(key, value, revision, options);
            };
            return { ...kv, get: kv.get.bind(kv), entries: kv.entries.bind(kv), update };
          },
        },
      });
      const id = await takeUp(1, slow);
      while (lost === 0) await sleep(10);
      await sleep(300);
      assert.is((await readRollout(raw, id))?.state.state, "aborted");
      assert.equal(host.got, []);
      assert.is(await raw.directGet("DESIRED", subjects.desired(host.id)), null);
    });

    test("stored first, then published: what is stored as published goes out", async () => {
      const id = await takeUp(2, raw);
      while (host.got.length === 0) await sleep(10);
      assert.equal(host.got, [2]);
      assert.is((await readRollout(raw, id))?.state.hosts.core1?.state, "published");
    });
  },
  { limit_ms: 20_000 },
);
