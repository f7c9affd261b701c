/** What of alert rules and monitoring would change, where the controllers cannot tell what they hold, and where nothing is said of either. */
import { alertingChange } from "@muster/ctl/apply/alerting";
import { ALERTING_SUBJECT } from "@muster/protocol/alerting";
import { seal, storeEnvelope } from "@muster/protocol/envelope";
import { FleetError } from "@muster/protocol/errors";
import { NO_MONITORING } from "@muster/protocol/monitoring";
import * as assert from "uvu/assert";
import { outcome } from "../../../kit/outcome.ts";
import { PeopleCa } from "../../../kit/people.ts";
import { suite } from "../../../kit/suite.ts";

type Arguments = Parameters<typeof alertingChange>;

suite("alert rules and monitoring against controllers from before", (test) => {
  /** Whose bucket `ctl init` did not make yet. */
  let answer = (): Promise<unknown> => Promise.reject(new FleetError("NO_RESPONDER", "no bucket"));
  const connection = {
    bus: { request: () => answer() },
    ...{ signer: null, now: Date.now },
  } as unknown as Arguments[1];
  const session = { fleet: "lab" } as unknown as Arguments[0];
  const colour = { red: String, bold: String } as unknown as Arguments[3];
  const change = (declared: Arguments[2]) => alertingChange(session, connection, declared, colour);

  test("a folder that says nothing is held up by nothing; one that says something hears that it cannot be", async () => {
    assert.is(await change({ alerts: null, monitoring: NO_MONITORING }), null);
    const rules = { rules: [], routes: {}, heartbeat: null };
    assert.is(await outcome(change({ alerts: rules, monitoring: NO_MONITORING })), "NO_RESPONDER");
    const loki = { url: "https://loki.example.net", labels: {} };
    const monitoring = { ...NO_MONITORING, loki };
    assert.is(await outcome(change({ alerts: null, monitoring })), "NO_RESPONDER");
  });

  test("a controller that does not answer in time is no controller from before", async () => {
    const silent = { alerts: null, monitoring: NO_MONITORING };
    answer = () => Promise.reject(new FleetError("TIMEOUT", "too slow"));
    assert.is(await outcome(change(silent)), "TIMEOUT");
    answer = () => Promise.reject(new FleetError("NOT_FOUND", "no method rules"));
    assert.is(await change(silent), null);
  });

  test("rules that hold and cannot be read are not replaced by none because monitoring is given", async () => {
    const document = { headers: {}, body: "" };
    answer = () => Promise.resolve({ body: Buffer.from(JSON.stringify({ ok: { document } })) });
    const monitoring = { ...NO_MONITORING, loki: { url: "https://loki.example.net", labels: {} } };
    await change({ alerts: null, monitoring }).then(
      () => assert.unreachable("it was signed"),
      (error: Error) => assert.match(error.message, /cannot be read.*Put an alerts\.yml/),
    );
    const rules = { rules: [], routes: {}, heartbeat: null };
    assert.match((await change({ alerts: rules, monitoring }))?.lines[0] ?? "", /not signed as it must be/);
    // A folder that says nothing of either has nothing to give, and hears it all the same.
    const told = await change({ alerts: null, monitoring: NO_MONITORING });
    assert.match(told?.lines.join() ?? "", /not signed as it must be/);
    assert.is(told?.next, null);
  });

  test("of rules of which one cannot be read the next version is made, and never without it unasked", async () => {
    const ca = await PeopleCa.make("operators");
    const alice = await ca.person("alice", "operator");
    const holds = (held: object) => {
      const signed = seal(ALERTING_SUBJECT, Buffer.from(JSON.stringify(held)), alice, Date.now());
      const document = storeEnvelope(signed);
      answer = () => Promise.resolve({ body: Buffer.from(JSON.stringify({ ok: { document } })) });
    };
    const one = { hosts: null, severity: "page", for_ms: 0, rise: 1, fall: 1 } as const;
    const mine = { ...one, name: "mine", about: ["session/*"] };
    const later = { ...one, name: "later", when: "median(health.cpu, 5m)>1" };
    const held = { v: 1, fleet: "lab", version: 7, rules: [later, mine], routes: {}, heartbeat: null };
    holds(held);
    Object.assign(session, { verifier: ca.verifier() });
    const monitoring = { ...NO_MONITORING, loki: { url: "https://loki.example.net", labels: {} } };
    assert.is(await outcome(change({ alerts: null, monitoring })), "INVALID");
    const silent = await change({ alerts: null, monitoring: NO_MONITORING });
    assert.match(silent?.lines.join() ?? "", /not all can be read: .*rule later/);
    assert.is(silent?.next, null);
    const rules = { rules: [mine], routes: {}, heartbeat: null };
    const next = await change({ alerts: rules, monitoring: NO_MONITORING });
    assert.equal([next?.next?.version, next?.next?.rules.map(({ name }) => name)], [8, ["mine"]]);
    // Where only what is pushed cannot be read, the rules stay as they are.
    const old = { ...NO_MONITORING, loki: { url: "https://me:hunter2@loki.example.net" } };
    holds({ ...held, rules: [mine], monitoring: old });
    for (const wanted of [monitoring, NO_MONITORING]) {
      const given = await change({ alerts: null, monitoring: wanted });
      assert.match(given?.lines.join() ?? "", /not all can be read: loki: url/);
      assert.equal([given?.next?.version, given?.next?.rules.length], [8, 1]);
      assert.is(given?.next?.monitoring?.loki?.url, (wanted as typeof monitoring).loki?.url);
    }
  });
});
