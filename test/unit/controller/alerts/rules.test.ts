/** Stored alert rules of which one cannot be read, such as one of a later version: it is named, and all else holds. */
import { rulesOf } from "@muster/controller/alerts/rules";
import { seal, storeEnvelope, verifierOf } from "@muster/protocol";
import { ALERTING_SUBJECT, type Alerting, SHIPPED_RULES } from "@muster/protocol/alerting";
import * as assert from "uvu/assert";
import { startFleet, type TestFleet } from "../../../kit/fleet.ts";
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
});
