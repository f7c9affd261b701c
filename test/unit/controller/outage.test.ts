/** A controller while the broker is away, and what it says of hosts that are silent; an admin's newer bundle. */
import { setTimeout as sleep } from "node:timers/promises";
import { type Caller, callController } from "@muster/ports/call";
import { FleetError, seal, storeEnvelope, subjects, type TrustBundle, verifierOf } from "@muster/protocol";
import * as assert from "uvu/assert";
import { startController, type TestController } from "../../kit/controller.ts";
import { startFleet, type TestFleet } from "../../kit/fleet.ts";
import { enrol, hello, makeMachine } from "../../kit/machine.ts";
import { patienceOf } from "../../kit/patience.ts";
import type { Person } from "../../kit/people.ts";
import { beat, makeHost, order, signRollout, type TestHost } from "../../kit/rollout.ts";
import { suite } from "../../kit/suite.ts";

suite(
  "a controller",
  (test) => {
    const life = new AbortController();
    const beating = new AbortController();
    let fleet: TestFleet;
    let controller: TestController;
    let alice: Person;
    let ops: Caller;
    let host: TestHost;

    test.before(async () => {
      fleet = await startFleet();
      const { bus } = await fleet.connect("controller", "raw", life.signal);
      host = await makeHost(fleet, "core1", bus, verifierOf(fleet.bundle), life.signal);
      beat(host, beating.signal);
      controller = await startController(fleet);
      alice = await fleet.person("alice");
      ops = {
        bus: (await fleet.connect("operator", "alice", life.signal)).bus,
        signer: alice,
        now: Date.now,
      };
      await sleep(100);
    });
    test.after(async () => {
      await controller.stop();
      beating.abort();
      life.abort();
      await fleet.stop();
    });

    test("goes on by itself when the broker is back, also with a rollout that was under way", async () => {
      host.answer = null;
      const signed = signRollout(fleet, alice, { core1: host.id }, { generation: 1, waves: [["core1"]] });
      await order(ops, signed);
      await fleet.server.restart();
      const again = async <T>(work: () => Promise<T>): Promise<T> => {
        for (;;) {
          try {
            return await work();
          } catch (error) {
            if (!(error instanceof FleetError) || !error.retryable) throw error;
            await sleep(50);
          }
        }
      };
      const { hosts } = await again(() => callController(ops, "hosts", { after: null, limit: 10 }));
      assert.is(hosts[0]?.record.name, "core1");
      const { content_hash } = JSON.parse(
        Buffer.from(signed.manifests[0]?.manifest.body ?? "", "base64").toString(),
      );
      await again(async () =>
        host.say({ state: "converged", generation: 1, content_hash, release: signed.id }),
      );
      for (;;) {
        const { rollout } = await again(() => callController(ops, "rollout", { rollout: signed.id }));
        if (rollout?.state === "done") break;
        await sleep(50);
      }
      const { events } = await callController(ops, "events", { since: null, kind: "host", limit: 10 });
      assert.equal(events, [], "nobody was silent");
      const machine = await makeMachine("new1");
      const stranger = await fleet.anonymous(life.signal);
      assert.is((await enrol(stranger, machine)).status, "pending");
    });

    test("takes an admin's newer bundle for everybody, and nothing else", async () => {
      const admin = await fleet.person("root", "admin");
      const as = { ...ops, signer: admin };
      const next: TrustBundle = { ...fleet.bundle, version: 2, voided: [{ name: "mallory", since: 0 }] };
      const publish = (bundle: TrustBundle, envelope = fleet.signBundle(bundle)) =>
        callController(as, "trust", { bundle: storeEnvelope(envelope) }).then(
          ({ version }) => `version ${version}`,
          (error: FleetError) => error.code,
        );
      const mallory = await fleet.person("mallory");
      assert.is((await callController({ ...ops, signer: mallory }, "head", {})).generation, 1);
      const by = (signer: Person) =>
        seal(subjects.trust(), Buffer.from(JSON.stringify(next)), signer, Date.now());
      assert.is(await publish(next, by(alice)), "NOT_ALLOWED");
      assert.is(await publish({ ...next, fleet: "other" }), "WRONG_TARGET");
      assert.is(await publish({ ...next, version: 1 }), "CONFLICT");
      const operators = await callController(ops, "trust", {
        bundle: storeEnvelope(fleet.signBundle(next)),
      }).catch((error: FleetError) => error.code);
      assert.is(operators, "NOT_ALLOWED");
      assert.is(await publish(next), "version 2");
      assert.is(await publish(next), "CONFLICT");
      const refused = await callController({ ...ops, signer: mallory }, "head", {}).catch(
        (error: FleetError) => error.code,
      );
      assert.is(refused, "VOIDED");
      const stranger = await fleet.anonymous(life.signal);
      const { bundle } = await hello(stranger, await makeMachine("x"));
      assert.is(JSON.parse(Buffer.from(bundle.body, "base64").toString()).version, 2);
    });

    test(
      "a host that falls silent is told of once, and again when it is back",
      async () => {
        beating.abort();
        host.say();
        const began = Date.now();
        const [first, second] = [patienceOf(32_000), patienceOf(40_000)];
        const told = async () => {
          const { events } = await callController(ops, "events", {
            since: began,
            host: "core1",
            kind: "host",
            limit: 10,
          });
          return events.map(({ event }) => `${event.severity} ${event.what.slice(0, 12)}`);
        };
        while ((await told()).length === 0) {
          assert.not.ok(first.over(), `nothing was told within ${first.text()}`);
          await sleep(500);
        }
        const { hosts } = await callController(ops, "hosts", { after: null, limit: 10 });
        assert.is(hosts[0]?.silent, true);
        host.say();
        while ((await told()).length < 2) {
          assert.not.ok(second.over(), `its return was not told within ${second.text()}`);
          await sleep(200);
        }
        assert.equal(await told(), ["error silent since", "info is heard aga"]);
      },
      { limit_ms: 45_000 },
    );
  },
  { limit_ms: 30_000 },
);
