// limit: 120 s
/** Alerts through a whole controller: what a host says becomes one, who may silence and give rules, and who may not. */
import { HostRecords } from "@muster/controller/records/hosts";
import { type Caller, callController } from "@muster/ports/call";
import { createNkey, type HostRecord, seal, storeEnvelope, subjects, watched } from "@muster/protocol";
import { ALERTING_SUBJECT, type Alerting } from "@muster/protocol/alerting";
import * as assert from "uvu/assert";
import { type HttpReceiver, httpReceiver } from "../../../kit/alert-receivers.ts";
import { startController, type TestController } from "../../../kit/controller.ts";
import { eventually } from "../../../kit/eventually.ts";
import { SSH_PUBLIC_KEY, startFleet, type TestFleet } from "../../../kit/fleet.ts";
import { outcome } from "../../../kit/outcome.ts";
import { suite } from "../../../kit/suite.ts";

/** A look is 2 s, and the machine may be busy. */
const SOON_MS = 40_000;
/** The host speaks only when the test lets it. */
const STILL: Alerting["rules"][number] = {
  ...{ name: "still", about: ["silent"], hosts: null, severity: "none" },
  ...{ for_ms: 0, rise: 1, fall: 1 },
};

suite(
  "alerts of a controller",
  (test) => {
    const life = new AbortController();
    let fleet: TestFleet;
    let controller: TestController;
    let hook: HttpReceiver;
    const key = createNkey("user");

    const caller = async (name: string, rank: "viewer" | "operator" | "ci" = "operator"): Promise<Caller> => {
      const role = rank === "viewer" ? "viewer" : "operator";
      const { bus } = await fleet.connect(role, name, life.signal);
      return { bus, signer: await fleet.person(name, rank), now: Date.now };
    };
    const document = async (by: string, version: number, more: Partial<Alerting> = {}, rank = "operator") => {
      const rules: Alerting = {
        ...{ v: 1, fleet: fleet.name, version, heartbeat: null },
        rules: [
          {
            ...{ name: "now", about: ["change"], hosts: null, severity: "page", for_ms: 0, rise: 1, fall: 1 },
          },
          STILL,
        ],
        routes: {
          hook: {
            ...{ to: "webhook", severity: "ticket", hosts: null, wait_ms: 0, repeat_ms: 3_600_000 },
            url: hook.url,
          },
        },
        ...more,
      };
      const signer = await fleet.person(by, rank);
      return storeEnvelope(seal(ALERTING_SUBJECT, Buffer.from(JSON.stringify(rules)), signer, Date.now()));
    };
    const say = async (state: "failed" | "converged") => {
      const { bus } = await fleet.connect("agent", "ixp1", life.signal, key);
      const sample = { ...watched(Date.now(), "1"), state, detail: state === "failed" ? "disk full" : "" };
      await bus.publishStored(
        subjects.telemetry(key.public, "ixp1", "convergence"),
        Buffer.from(JSON.stringify(sample)),
      );
      await bus.close();
    };

    test.before(async () => {
      fleet = await startFleet({
        bundle: {
          policy: { controller_may: ["ping"], operators: { bob: { groups: ["core"] } } },
        },
      });
      hook = await httpReceiver();
      const records = new HostRecords((await fleet.connect("controller", "writer", life.signal)).bus);
      const record: HostRecord = {
        ...{ name: "ixp1", id: key.public, ssh_public_key: SSH_PUBLIC_KEY, curve: "X", groups: ["ixp"] },
        ...{ state: "enrolled", enrolled_at: 1, enrolled_by: "alice", recoveries: 0, os: "test" },
        ...{ agent_version: "0", certificates: { user_jwt: 1e13, service: 1e13, ssh: 1e13 } },
      };
      await records.write(record, null);
      controller = await startController(fleet);
    });
    test.after(async () => {
      await controller.stop();
      life.abort();
      await hook.stop();
      await fleet.stop();
    });

    test("rules are taken of operators without limits, one version after the other", async () => {
      const alice = await caller("alice");
      const give = async (doc: Promise<Awaited<ReturnType<typeof document>>>) =>
        outcome(callController(alice, "set_rules", { document: await doc }));
      assert.is(await give(document("alice", 2)), "CONFLICT");
      assert.is(await give(document("bob", 1)), "NOT_ALLOWED");
      assert.is(await give(document("vera", 1, {}, "viewer")), "NOT_ALLOWED");
      assert.is(await give(document("alice", 1, { fleet: "another" })), "WRONG_TARGET");
      const forged = await document("alice", 1);
      assert.is(
        await give(Promise.resolve({ ...forged, body: Buffer.from("{}").toString("base64") })),
        "BAD_SIGNATURE",
      );
      assert.is(await give(document("alice", 1)), "done");
      assert.is(await give(document("alice", 1)), "CONFLICT");
      assert.is(await give(document("robot", 2, {}, "ci")), "done");
      const { document: held } = await callController(alice, "rules", {});
      assert.match(Buffer.from(held?.body ?? "", "base64").toString(), /"version":2/);
    });

    test("what a host says is told to the route, counted for status, and over when it is over", async () => {
      const vera = await caller("vera", "viewer");
      await say("failed");
      await eventually(() => assert.is(hook.received.length, 1), SOON_MS);
      assert.match(
        JSON.parse(hook.received.splice(0)[0]?.body ?? "").text,
        /ixp1 {2}page since .*: FAILED .* ago: disk full/,
      );
      const { alerts, summary } = await callController(vera, "alerts", {});
      assert.equal(
        alerts.map(({ host, about, silenced, told }) => [host, about, silenced, Object.keys(told)]),
        [["ixp1", "change", null, ["hook"]]],
      );
      assert.is(summary?.rules?.by, "robot");
      const { alerts: short } = await callController(vera, "hosts", { after: null, limit: 10, brief: true });
      assert.equal([short?.firing, short?.silenced], [1, 0]);
      assert.equal((await callController(vera, "alerts", { hosts: ["core1"] })).alerts, []);
    });

    test("a silence: by operators, of their own hosts, for a time; everybody sees it and its end", async () => {
      const [alice, bob] = await Promise.all([caller("alice"), caller("bob")]);
      const wish = { selector: "ixp1", hosts: ["ixp1"], about: ["*"], why: "switch", for_ms: 3_600_000 };
      assert.is(await outcome(callController(bob, "silence", wish)), "NOT_ALLOWED");
      assert.is(await outcome(callController(alice, "silence", { ...wish, hosts: ["nobody"] })), "NOT_FOUND");
      const { silence } = await callController(alice, "silence", wish);
      const { alerts, silences } = await callController(alice, "alerts", {});
      assert.match(alerts[0]?.silenced ?? "", /^silenced by alice until .*: switch$/);
      assert.equal(silences, [silence]);
      assert.is(await outcome(callController(bob, "unsilence", { id: silence.id })), "NOT_ALLOWED");
      assert.equal(await callController(alice, "unsilence", { id: silence.id }), { ended: true });
      assert.equal(await callController(alice, "unsilence", { id: silence.id }), { ended: false });
      await say("converged");
      await eventually(() => assert.is(hook.received.length, 1), SOON_MS);
      assert.match(JSON.parse(hook.received[0]?.body ?? "").text, /^OVER\nixp1 {2}change: over since/);
      assert.equal((await callController(alice, "alerts", {})).alerts, []);
    });

    test("a rule's own condition, over what hosts tell; over what none does it is refused", async () => {
      const alice = await caller("alice");
      const rule = (when: string) => ({
        ...{ name: "few", about: ["metric/few"], when, hosts: null, severity: "ticket" as const },
        ...{ for_ms: 0, rise: 1, fall: 1 },
      });
      const give = async (when: string) =>
        callController(alice, "set_rules", {
          document: await document("alice", 3, { rules: [rule(when), STILL] }),
        });
      for (const [when, why] of [
        ["convergence.resource.total<1", /rule few: .*has no `resource`; did you mean `resources`/],
        ["rate(convergence.generation, 5m)>1", /rule few: .*nothing of convergence is/],
        ["load > 1", /expected a comparison of what hosts tell/],
      ] as const)
        await give(when).then(
          () => assert.unreachable(when),
          (error: Error) => assert.match(error.message, why),
        );
      await give("convergence.resources.total<1");
      await say("converged");
      await eventually(async () => {
        const { alerts } = await callController(alice, "alerts", {});
        assert.equal(
          alerts.map(({ host, about, severity, what }) => [host, about, severity, what]),
          [["ixp1", "metric/few", "ticket", "few: convergence.resources.total is 0, told when < 1"]],
        );
      }, SOON_MS);
    });
  },
  { limit_ms: 90_000 },
);
