/** Rollouts through a real broker: from `ctl.stage` to the hosts' words and back, with nothing in between that polls. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Bus } from "@muster/ports/bus";
import { type Caller, callController } from "@muster/ports/call";
import { FleetError, type Rollout, verifierOf } from "@muster/protocol";
import * as assert from "uvu/assert";
import { startController, type TestController } from "../../../kit/controller.ts";
import { eventually } from "../../../kit/eventually.ts";
import { assertWithin } from "../../../kit/figures.ts";
import { startFleet, type TestFleet } from "../../../kit/fleet.ts";
import type { Person } from "../../../kit/people.ts";
import { beat, makeHost, order, randomHex, signRollout, type TestHost } from "../../../kit/rollout.ts";
import { suite } from "../../../kit/suite.ts";

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (error instanceof FleetError) return error.code;
    throw error;
  }
  return "taken";
}

suite(
  "rollouts",
  (test) => {
    let fleet: TestFleet;
    let controllers: TestController[];
    let alice: Person;
    let ops: Caller;
    let watcher: Bus;
    let raw: Bus;
    const hosts: Record<string, TestHost> = {};
    const ids: Record<string, string> = {};
    const life = new AbortController();
    let generation = 0;

    const ended = async (id: string): Promise<Rollout> => {
      for (;;) {
        const { rollout } = await callController(ops, "rollout", { rollout: id });
        if (rollout !== null && rollout.state !== "running") return rollout;
        await sleep(20);
      }
    };
    const host = (name: string): TestHost => {
      const found = hosts[name];
      if (found === undefined) throw new Error(`no host ${name}`);
      return found;
    };

    test.before(async () => {
      fleet = await startFleet();
      alice = await fleet.person("alice");
      raw = (await fleet.connect("controller", "raw", life.signal)).bus;
      const verifier = verifierOf(fleet.bundle);
      for (const name of ["core1", "ixp1", "probe1"]) {
        hosts[name] = await makeHost(fleet, name, raw, verifier, life.signal);
        ids[name] = host(name).id;
        beat(host(name), life.signal);
      }
      // Two: either may answer, one leads.
      controllers = [await startController(fleet), await startController(fleet)];
      watcher = (await fleet.connect("operator", "alice", life.signal)).bus;
      ops = { bus: watcher, signer: alice, now: Date.now };
    });
    test.after(async () => {
      for (const controller of controllers) await controller.stop();
      life.abort();
      await fleet.stop();
    });

    test("three waves of one host each pass on the hosts' words, not on a timer", async () => {
      const signed = signRollout(fleet, alice, ids, {
        generation: ++generation,
        waves: [["core1"], ["ixp1"], ["probe1"]],
      });
      for (const { id, manifest } of signed.manifests)
        await callController(ops, "stage", { rollout: signed.id, id, manifest });
      const last = new Promise<number>((resolve) => {
        const end = watcher.subscribe("telemetry.*.probe1.convergence", {}, (message) => {
          if (!Buffer.from(message.body).toString().includes('"converged"')) return;
          end();
          resolve(performance.now());
        });
      });
      await watcher.roundTrip();
      const began = performance.now();
      await callController(ops, "apply", { rollout: signed.id, release: signed.release });
      const took_ms = (await last) - began;
      console.log(`  ordered to converged in ${took_ms.toFixed(1)} ms`);
      assertWithin(took_ms, 900);
      const done = await ended(signed.id);
      assert.equal([done.state, done.detail, host("core1").got], ["done", "", [1]]);
      const { generation: head, rollout } = await callController(ops, "head", {});
      assert.equal([head, rollout], [1, signed.id]);
      await eventually(async () => {
        const { events } = await callController(ops, "events", { since: null, kind: "rollout", limit: 10 });
        assert.equal(
          events.map(({ event }) => event.what),
          [
            "alice rolls out generation 1 to 3 hosts in 3 waves: a test",
            "wave 1 of 3 is done",
            "wave 2 of 3 is done",
            "rollout of generation 1 is done",
          ],
        );
      });
      // The same order once more is the same rollout, and nothing goes out twice.
      await callController(ops, "apply", { rollout: signed.id, release: signed.release });
      assert.equal(host("core1").got, [1]);
    });

    test("a failed host stops it, and the next wave never hears of it", async () => {
      host("core1").answer = "undone";
      const signed = signRollout(fleet, alice, ids, {
        generation: ++generation,
        waves: [["core1"], ["ixp1"]],
        text: "bad",
      });
      await order(ops, signed);
      const done = await ended(signed.id);
      assert.is(done.state, "failed");
      assert.match(done.detail, /1 failed, 0 allowed: core1; not begun: ixp1/);
      assert.not(host("ixp1").got.includes(generation));
      host("core1").answer = "converged";
    });

    test("a generation is allotted once, and the second is told who took it", async () => {
      const next = generation + 1;
      const [one, two] = [1, 2].map(() =>
        signRollout(fleet, alice, ids, { generation: next, waves: [["core1"]], text: "race" }),
      );
      assert.ok(one && two);
      for (const signed of [one, two])
        for (const { id, manifest } of signed.manifests)
          await callController(ops, "stage", { rollout: signed.id, id, manifest });
      const codes = await Promise.all(
        [one, two].map((signed) =>
          codeOf(callController(ops, "apply", { rollout: signed.id, release: signed.release })),
        ),
      );
      assert.equal(codes.sort(), ["CONFLICT", "taken"]);
      generation = next;
      const late = signRollout(fleet, alice, ids, { generation: next, waves: [["core1"]] });
      const failure = await order(ops, late).catch((error: FleetError) => `${error.code} ${error.detail}`);
      assert.match(String(failure), new RegExp(`^CONFLICT generation ${next}: alice took ${next} at `));
      const { rollout } = await callController(ops, "head", {});
      await ended(rollout ?? "");
    });

    test("a number that was given up is passed over", async () => {
      generation += 2;
      const signed = signRollout(fleet, alice, ids, { generation, waves: [["core1"]] });
      await order(ops, signed);
      assert.is((await ended(signed.id)).state, "done");
    });

    test("two rollouts do not touch one host at a time, and a person may stop one", async () => {
      host("ixp1").answer = null;
      const first = signRollout(fleet, alice, ids, {
        generation: ++generation,
        waves: [["ixp1"], ["probe1"]],
        text: "slow",
      });
      await order(ops, first);
      const second = signRollout(fleet, alice, ids, {
        generation: generation + 1,
        waves: [["probe1"]],
        text: "more",
      });
      assert.is(await codeOf(order(ops, second)), "ROLLOUT_BUSY");
      const beside = signRollout(fleet, alice, ids, {
        generation: ++generation,
        waves: [["core1"]],
        text: "beside",
      });
      await order(ops, beside);
      assert.is((await ended(beside.id)).state, "done");
      const { rollout } = await callController(ops, "abort", { rollout: first.id });
      assert.equal([rollout.state, rollout.detail], ["aborted", "aborted by alice; not begun: probe1"]);
      host("ixp1").say({ state: "converged", generation: generation - 1, release: first.id });
      await sleep(100);
      assert.is((await ended(first.id)).state, "aborted");
      assert.not(host("probe1").got.includes(generation - 1));
      host("ixp1").answer = "converged";
    });

    test("what is not signed as it must be is not stored", async () => {
      const next = generation + 1;
      const stage = async (signed: ReturnType<typeof signRollout>, id?: string) => {
        const [first] = signed.manifests;
        if (first === undefined) throw new Error("no manifest");
        const request = { rollout: signed.id, id: id ?? first.id, manifest: first.manifest };
        return codeOf(callController(ops, "stage", request));
      };
      const draft = { generation: next, waves: [["core1"]] };
      assert.is(
        await stage(signRollout(fleet, await fleet.person("eve", "viewer"), ids, draft)),
        "NOT_ALLOWED",
      );
      assert.is(
        await stage(signRollout(fleet, await fleet.controllers.person("c", "controller"), ids, draft)),
        "NOT_ALLOWED",
      );
      assert.is(await stage(signRollout(fleet, alice, ids, draft), ids.ixp1), "BAD_SIGNATURE");
      assert.is(
        await stage(signRollout(fleet, alice, ids, { ...draft, manifest: { content_hash: "0".repeat(64) } })),
        "ALTERED",
      );
      assert.is(
        await stage(signRollout(fleet, alice, ids, { ...draft, manifest: { host: "ixp1" } })),
        "WRONG_TARGET",
      );
      assert.is(
        await stage(signRollout(fleet, alice, { core9: ids.core1 ?? "" }, { ...draft, waves: [["core9"]] })),
        "NOT_FOUND",
      );
      assert.is(
        await stage(signRollout(fleet, alice, ids, { ...draft, manifest: { fleet: "other" } })),
        "WRONG_TARGET",
      );
      const other = signRollout(fleet, alice, ids, draft);
      assert.is(await stage({ ...other, id: randomHex() }), "WRONG_TARGET");
      assert.is(
        await codeOf(callController(ops, "apply", { rollout: other.id, release: other.release })),
        "INVALID",
      );
      const viewer = await fleet.person("eve", "viewer");
      assert.is(
        await codeOf(
          callController({ ...ops, signer: viewer }, "apply", { rollout: other.id, release: other.release }),
        ),
        "NOT_ALLOWED",
      );
    });

    test("a staged manifest that was exchanged on the way is not published", async () => {
      const next = ++generation;
      host("core1").answer = null;
      const signed = signRollout(fleet, alice, ids, {
        generation: next,
        waves: [["core1"], ["ixp1"]],
        text: "two waves",
      });
      await order(ops, signed);
      const forged = signRollout(fleet, await fleet.person("eve", "viewer"), ids, {
        generation: next,
        waves: [["ixp1"]],
        rollout: signed.id,
      });
      const [bad] = forged.manifests;
      assert.ok(bad);
      await raw.publishStored(`release.${signed.id}.${ids.ixp1}`, Buffer.from(bad.manifest.body, "base64"), {
        headers: bad.manifest.headers,
      });
      host("core1").answer = "converged";
      const { content_hash } = JSON.parse(
        Buffer.from(signed.manifests[0]?.manifest.body ?? "", "base64").toString(),
      );
      host("core1").say({ state: "converged", generation: next, content_hash, release: signed.id });
      const done = await ended(signed.id);
      assert.is(done.state, "failed");
      assert.match(done.hosts.ixp1?.detail ?? "", /eve is viewer/);
      assert.not(host("ixp1").got.includes(next));
    });

    test("hosts, last values and a forged name", async () => {
      host("core1").bus.publish(
        `telemetry.${ids.core1}.core1.convergence`,
        Buffer.from('{"state":"nonsense"}'),
      );
      for (const each of Object.values(hosts)) each.say();
      await eventually(async () => {
        const { hosts: all } = await callController(ops, "hosts", { after: null, limit: 10 });
        assert.ok(all.every((view) => !view.silent && view.convergence !== null));
      });
      const first = await callController(ops, "hosts", { after: null, limit: 2 });
      assert.equal([first.hosts.map((view) => view.record.name), first.next], [["core1", "ixp1"], "ixp1"]);
      const rest = await callController(ops, "hosts", { after: first.next, limit: 2 });
      assert.equal([rest.hosts.map((view) => view.record.name), rest.next], [["probe1"], null]);
      const { values } = await callController(ops, "last", { kind: "convergence", after: null, limit: 10 });
      assert.is(values.length, 3);
      // A key of our own broker that is not core1's: as after a stolen signing key.
      const { bus, id } = await fleet.connect("agent", "core1", life.signal);
      await bus.publishStored(`telemetry.${id}.core1.convergence`, Buffer.from('{"at":0}'));
      await sleep(200);
      const { hosts: still } = await callController(ops, "hosts", { after: null, limit: 1 });
      assert.is(still[0]?.record.id, ids.core1);
      await eventually(async () => {
        const asked = { since: null, kind: "credentials", limit: 10 } as const;
        const { events } = await callController(ops, "events", asked);
        assert.ok(events.some(({ host: name, event }) => name === "core1" && event.severity === "error"));
      });
    });

    test("a controller that begins knows what was said before it, and goes on with what runs", async () => {
      host("ixp1").answer = null;
      const signed = signRollout(fleet, alice, ids, {
        generation: ++generation,
        waves: [["ixp1"], ["probe1"]],
        text: "takeover",
      });
      await order(ops, signed);
      for (const controller of controllers) await controller.stop();
      host("core1").say();
      host("ixp1").answer = "converged";
      const { content_hash } = JSON.parse(
        Buffer.from(signed.manifests[0]?.manifest.body ?? "", "base64").toString(),
      );
      host("ixp1").say({ state: "converged", generation, content_hash, release: signed.id });
      const began = performance.now();
      controllers = [await startController(fleet)];
      assert.is((await ended(signed.id)).state, "done");
      console.log(`  taken up ${Math.round(performance.now() - began)} ms after the start`);
      assert.ok(host("probe1").got.includes(generation));
      const { hosts: all } = await callController(ops, "hosts", { after: null, limit: 10 });
      assert.is(all.filter((view) => view.convergence !== null).length, 3);
    });
  },
  { limit_ms: 30_000 },
);
