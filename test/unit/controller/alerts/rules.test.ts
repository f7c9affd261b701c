/** Stored alert rules of which one cannot be read, such as one of a later version: it is named, and all else holds. */
import { rulesOf, takeRules } from "@muster/controller/alerts/rules";
import type { AlertStore } from "@muster/controller/alerts/store";
import { type StoredEnvelope, seal, storeEnvelope, verifierOf } from "@muster/protocol";
import { ALERTING_SUBJECT, type Alerting, SHIPPED_RULES } from "@muster/protocol/alerting";
import * as assert from "uvu/assert";
import { startFleet, type TestFleet } from "../../../kit/fleet.ts";
import { outcome } from "../../../kit/outcome.ts";
import { suite } from "../../../kit/suite.ts";

suite("stored alert rules", (test) => {
  let fleet: TestFleet;
  test.before(async () => {
    fleet = await startFleet();
  });
  test.after(() => fleet.stop());

  test("a rule that cannot be read is named; routes, heartbeat and the other rules hold", async () => {
    const one = { hosts: null, severity: "page" as const, for_ms: 0, rise: 1, fall: 1, about: ["session/*"] };
    const later = { ...one, name: "later", when: "median(health.cpu, 5m)>1" };
    const url = "https://hook.example.net/";
    const alerting: Alerting = {
      ...{ v: 1, fleet: fleet.name, version: 7, rules: [later, { ...one, name: "mine" }] },
      routes: {
        hook: { to: "webhook", severity: "ticket", hosts: null, wait_ms: 0, repeat_ms: 60_000, url },
      },
      heartbeat: { url, method: "GET", every_ms: 30_000 },
    };
    const body = Buffer.from(JSON.stringify(alerting));
    const signed = seal(ALERTING_SUBJECT, body, await fleet.person("alice"), Date.now());
    const held = rulesOf(storeEnvelope(signed), fleet.name, verifierOf(fleet.bundle));
    assert.match(held.given?.error ?? "", /rule later: when: /);
    assert.is(held.given?.version, 7);
    assert.is(held.rules[0]?.name, "mine");
    assert.is(held.rules.length, 1 + SHIPPED_RULES.length);
    assert.equal([...held.routes.keys()], ["hook"]);
    assert.is(held.heartbeat?.url, url);
  });

  test("so is a route, a heartbeat or where is pushed to, of a form that was taken before", async () => {
    const url = "https://me:hunter2@hook.example.net/";
    const hook = { to: "webhook", severity: "ticket", hosts: null, wait_ms: 0, repeat_ms: 60_000 };
    const alerting = {
      ...{ v: 1, fleet: fleet.name, version: 7, rules: [] },
      routes: { old: { ...hook, url }, hook: { ...hook, url: "https://hook.example.net/" } },
      heartbeat: { url, method: "GET", every_ms: 30_000 },
      monitoring: { scrape: [], hosts: {}, loki: { url }, otlp: { url: "https://x/", every_ms: 30_000 } },
    };
    const body = Buffer.from(JSON.stringify(alerting));
    const signed = seal(ALERTING_SUBJECT, body, await fleet.person("alice"), Date.now());
    const held = rulesOf(storeEnvelope(signed), fleet.name, verifierOf(fleet.bundle));
    assert.match(held.given?.error ?? "", /route old: url: .*heartbeat: url: .*loki: url: /);
    assert.not.match(held.given?.error ?? "", /hunter2/);
    assert.equal([held.given?.version, [...held.routes.keys()], held.heartbeat], [7, ["hook"], null]);
    assert.equal([held.monitoring?.loki, held.monitoring?.otlp?.url], [undefined, "https://x/"]);
  });

  test("the next version is taken; one begins anew only where nothing of what is held can be read", async () => {
    const alice = await fleet.person("alice");
    const one = { hosts: null, severity: "page" as const, for_ms: 0, rise: 1, fall: 1, about: ["session/*"] };
    const document = (version: number, more: readonly object[] = []) => {
      const rules = [{ ...one, name: "mine" }, ...more];
      const alerting = { v: 1, fleet: fleet.name, version, rules, routes: {}, heartbeat: null };
      return storeEnvelope(seal(ALERTING_SUBJECT, Buffer.from(JSON.stringify(alerting)), alice, Date.now()));
    };
    const take = async (held: StoredEnvelope | null, version: number) => {
      const store = {
        rules: async () => (held === null ? null : { document: held, revision: 3 }),
        putRules: async () => undefined,
      } as unknown as AlertStore;
      const ports = {
        store,
        fleet: fleet.name,
        verifier: verifierOf(fleet.bundle),
        policy: fleet.bundle.policy,
      };
      return outcome(takeRules(document(version), ports).then((taken) => assert.is(taken.version, version)));
    };
    const later = document(7, [{ ...one, name: "later", when: "median(health.cpu, 5m)>1" }]);
    const none = { ...document(7), body: "" };
    for (const [held, version, wanted] of [
      [null, 1, "done"],
      [null, 2, "CONFLICT"],
      [document(7), 8, "done"],
      [document(7), 1, "CONFLICT"],
      [later, 8, "done"],
      [later, 1, "CONFLICT"],
      [none, 1, "done"],
      [none, 8, "CONFLICT"],
    ] as const)
      assert.is(await take(held, version), wanted, `${version}`);
  });
});
