/** What is wrong with the alerting itself, in words. */
import { execFileSync } from "node:child_process";
import { AlertSummary } from "@muster/protocol/alert";
import { alertCounts, alertingTroubles, notKnownText } from "@muster/view/alerts";
import * as assert from "uvu/assert";
import { suite } from "../../../kit/suite.ts";

suite("alerting in words", (test) => {
  // As a controller of before stored it.
  const summary = AlertSummary.parse({ at: 1, firing: 0, silenced: 0, routes: [], rules: null });

  test("rules of which nothing is known are counted and named, with what to type", () => {
    assert.is(alertCounts(summary), null);
    const slow = { rule: "slow", when: "health.load1>9", hosts: ["core1", "ixp1"], count: 7 };
    assert.is(alertCounts({ ...summary, not_known: [slow] }), "1 rule not known");
    assert.match(notKnownText(slow).what, /^rule slow of core1, ixp1 and 5 more: /);
    assert.not.match(notKnownText({ ...slow, count: 2 }).what, /more/);
    assert.is(notKnownText(slow).next, "ctl query 'health.load1>9'");
    // As a shell takes it; what had to be cut could not be typed.
    const when = "checks.checks.why='it''s'";
    const { next } = notKnownText({ ...slow, when });
    const words = execFileSync("sh", ["-c", next.replace("ctl query", "printf %s")], { encoding: "utf8" });
    assert.is(words, when);
    assert.is(notKnownText({ ...slow, when: `health.load1>${"9".repeat(500)}` }).next, "ctl alerts");
  });

  test("none of the rules holds, or all but one", () => {
    const told = (version: number) => {
      const rules = { version, by: "alice", error: "rule later: when: no telemetry" };
      return alertingTroubles({ ...summary, rules }, 1).map(({ what }) => what);
    };
    assert.equal(told(3), [
      "passed over in alerts.yml, the other rules hold: rule later: when: no telemetry",
    ]);
    assert.match(told(0)[0] ?? "", /cannot be used, those that Muster brings hold: /);
  });
});
