// limit: 180 s
/** Hosts of the folder that no machine joined as, through whole controllers: who may tell of them, and that answers, alerts and metrics have them until they join. */
import { type Caller, callController } from "@muster/ports/call";
import { seal, storeEnvelope, verifierOf } from "@muster/protocol";
import { ALERTING_SUBJECT, type Alerting } from "@muster/protocol/alerting";
import { DECLARED_SUBJECT, type Declared } from "@muster/protocol/declared";
import * as assert from "uvu/assert";
import { freePort } from "../../kit/child.ts";
import { startController, type TestController } from "../../kit/controller.ts";
import { eventually } from "../../kit/eventually.ts";
import { startFleet, type TestFleet } from "../../kit/fleet.ts";
import { outcome } from "../../kit/outcome.ts";
import { makeHost } from "../../kit/rollout.ts";
import { suite } from "../../kit/suite.ts";

/** A look is 2 s, and the machine may be busy. */
const SOON_MS = 40_000;
const SINCE = Date.UTC(2026, 10, 1, 10);

suite(
  "declared hosts that are missing",
  (test) => {
    const life = new AbortController();
    let fleet: TestFleet;
    let controller: TestController;
    let port = 0;

    const callers = new Map<string, Promise<Caller>>();
    const caller = (name: string, rank: "viewer" | "operator" | "ci" = "operator"): Promise<Caller> => {
      const connected = async (): Promise<Caller> => {
        const { bus } = await fleet.connect(rank === "viewer" ? "viewer" : "operator", name, life.signal);
        return { bus, signer: await fleet.person(name, rank), now: Date.now };
      };
      const calling = callers.get(name) ?? connected();
      callers.set(name, calling);
      return calling;
    };
    const document = async (by: string, version: number, more: Partial<Declared> = {}, rank = "operator") => {
      const declared: Declared = {
        ...{ v: 1, fleet: fleet.name, version },
        hosts: {
          core1: { groups: ["core"], since: SINCE },
          probe1: { groups: ["probe"], since: SINCE },
        },
        ...more,
      };
      const signer = await fleet.person(by, rank);
      return storeEnvelope(seal(DECLARED_SUBJECT, Buffer.from(JSON.stringify(declared)), signer, Date.now()));
    };
    const pageOf = async (who: Caller, after: string | null = null, limit = 10) =>
      callController(who, "hosts", { after, limit });
    const missingFor = async (who: Caller) => (await pageOf(who)).missing?.map(({ name }) => name) ?? [];
    const metric = async () =>
      (await (await fetch(`http://127.0.0.1:${port}/metrics`)).text())
        .split("\n")
        .filter((line) => line.startsWith("muster_host_missing"));
    const start = () => startController(fleet, { metrics: { listen: `127.0.0.1:${port}` } });
    const join = async (name: string) => {
      const setup = await fleet.connect("controller", `setup-${name}`, life.signal);
      return makeHost(fleet, name, setup.bus, verifierOf(fleet.bundle), life.signal);
    };

    test.before(async () => {
      const policy = { controller_may: ["ping" as const], operators: { bob: { groups: ["core"] } } };
      fleet = await startFleet({ bundle: { policy } });
      port = await freePort();
      await join("core1");
      controller = await start();
    });
    test.after(async () => {
      await controller.stop();
      life.abort();
      await fleet.stop();
    });

    test("they are taken of operators without limits, one version after the other", async () => {
      const [alice, vera] = await Promise.all([caller("alice"), caller("vera", "viewer")]);
      const give = async (doc: Promise<Awaited<ReturnType<typeof document>>>) =>
        outcome(callController(alice, "declare", { document: await doc }));
      assert.equal(await callController(alice, "declared", { hosts: ["core1", "probe9", "probe1"] }), {
        ...{ document: null, missing: ["probe1", "probe9"] },
      });
      assert.equal([await missingFor(vera), await metric()], [[], []]);
      assert.is(await give(document("alice", 2)), "CONFLICT");
      assert.is(await give(document("bob", 1)), "NOT_ALLOWED");
      assert.is(await give(document("vera", 1, {}, "viewer")), "NOT_ALLOWED");
      assert.is(await give(document("alice", 1, { fleet: "another" })), "WRONG_TARGET");
      const forged = await document("alice", 1);
      const body = Buffer.from("{}").toString("base64");
      assert.is(await give(Promise.resolve({ ...forged, body })), "BAD_SIGNATURE");
      const hosts = Object.fromEntries(
        Array.from({ length: 10_001 }, (_, at) => [`h${at}`, { groups: [], since: SINCE }]),
      );
      assert.is(await give(document("alice", 1, { hosts })), "INVALID");
      assert.is(await give(document("alice", 1)), "done");
      assert.is(await give(document("alice", 1)), "CONFLICT");
      assert.is(await give(document("robot", 2, {}, "ci")), "done");
      assert.is(await outcome(callController(vera, "declare", { document: forged })), "BUS_DENIED");
    });

    test("a viewer's answer has them in their place among the pages, and metrics have every declared host", async () => {
      const vera = await caller("vera", "viewer");
      const whole = await pageOf(vera);
      assert.equal(whole.missing, [{ name: "probe1", groups: ["probe"], since: SINCE }]);
      assert.equal(
        whole.hosts.map(({ record }) => record.name),
        ["core1"],
      );
      const first = await pageOf(vera, null, 1);
      assert.equal([first.hosts.length, first.missing, first.next], [1, undefined, "core1"]);
      const second = await pageOf(vera, first.next, 1);
      assert.equal([second.hosts.length, second.missing?.length, second.next], [0, 1, null]);
      await eventually(
        async () =>
          assert.equal(await metric(), [
            'muster_host_missing{host="core1"} 0',
            'muster_host_missing{host="probe1"} 1',
          ]),
        SOON_MS,
      );
    });

    test("it is an alert by the rule that Muster brings, may be silenced, and outlives its controller", async () => {
      const alice = await caller("alice");
      const firing = async () => {
        const { alerts } = await callController(alice, "alerts", { hosts: ["probe1"] });
        return alerts.map(({ about, rule, severity, what, next, silenced }) => ({
          ...{ about, rule, severity, what: what.replace(/ \(.*\)$/, ""), next, silenced: silenced !== null },
        }));
      };
      const alert = {
        ...{ about: "joined", rule: "missing", severity: "ticket", next: "ctl join probe1", silenced: false },
        what: "never joined; declared since 2026-11-01 10:00 UTC",
      };
      await eventually(async () => assert.equal(await firing(), [alert]), SOON_MS);
      const wish = { selector: "probe1", hosts: ["probe1"], about: ["*"], why: "ordered", for_ms: 3_600_000 };
      assert.is(await outcome(callController(await caller("bob"), "silence", wish)), "NOT_ALLOWED");
      await callController(alice, "silence", wish);
      assert.equal(await firing(), [{ ...alert, silenced: true }]);
      await controller.stop();
      controller = await start();
      assert.equal(await missingFor(alice), ["probe1"]);
      assert.equal(await firing(), [{ ...alert, silenced: true }]);
    });

    test("who asks another controller hears the same soon; who joins is missing no more, nor who is declared no more", async () => {
      const alice = await caller("alice");
      const second = await startController(fleet, { name: "second" });
      const hosts = {
        probe2: { groups: ["probe"], since: SINCE },
        probe1: { groups: ["probe"], since: SINCE },
      };
      await callController(alice, "declare", { document: await document("alice", 3, { hosts }) });
      // Either of them answers.
      const both = async (wanted: readonly string[]) => {
        for (let times = 0; times < 8; times++) assert.equal(await missingFor(alice), wanted);
      };
      await eventually(() => both(["probe1", "probe2"]), SOON_MS);
      const host = await join("probe1");
      host.say({ state: "converged" });
      await eventually(() => both(["probe2"]), SOON_MS);
      const only = { core1: { groups: ["core"], since: SINCE } };
      await callController(alice, "declare", { document: await document("alice", 4, { hosts: only }) });
      await eventually(() => both([]), SOON_MS);
      await eventually(async () => {
        const { alerts } = await callController(alice, "alerts", { hosts: ["probe1", "probe2"] });
        assert.equal(
          alerts.filter(({ about }) => about === "joined"),
          [],
        );
      }, SOON_MS);
      const { events } = await callController(alice, "events", { since: null, kind: "host", limit: 100 });
      const told = events.map(({ event }) => event.what).filter((what) => /declare/.test(what));
      assert.equal(told, [
        "alice declared probe1: no machine joined yet",
        "alice declared probe2: no machine joined yet",
        "alice declares probe2 no more",
      ]);
      await second.stop();
    });

    test("what nobody signed is not taken for what is declared, and the next apply begins anew", async () => {
      const alice = await caller("alice");
      const { bus } = await fleet.connect("controller", "writer", life.signal);
      const { document: held } = await callController(alice, "declared", { hosts: [] });
      assert.ok(held !== null);
      const lie = { v: 1, fleet: fleet.name, version: 9, hosts: { evil1: { groups: [], since: SINCE } } };
      const body = Buffer.from(JSON.stringify(lie)).toString("base64");
      await bus.kv("alerts").put("declared", Buffer.from(JSON.stringify({ ...held, body })));
      await callController(alice, "declared", { hosts: [] });
      assert.equal(await missingFor(alice), []);
      await callController(alice, "declare", { document: await document("alice", 1) });
      const rules: Alerting = {
        ...{ v: 1, fleet: fleet.name, version: 1, rules: [], routes: {}, heartbeat: null },
      };
      const signer = await fleet.person("alice");
      const other = storeEnvelope(
        seal(ALERTING_SUBJECT, Buffer.from(JSON.stringify(rules)), signer, Date.now()),
      );
      assert.is(await outcome(callController(alice, "declare", { document: other })), "BAD_SIGNATURE");
    });
  },
  { limit_ms: 90_000 },
);
