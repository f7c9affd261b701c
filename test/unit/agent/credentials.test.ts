/** When a credential is renewed, and when somebody is told: one rule for all lives. */
import { dueAt, isAlarming } from "@muster/agent/renewal";
import * as assert from "uvu/assert";
import { suite } from "../../kit/suite.ts";

const DAY = 86_400_000;

suite("credentials", (test) => {
  test("a JWT of seven days is renewed after one, certificates of thirty after ten", () => {
    const week = { from: 0, to: 7 * DAY };
    const month = { from: 0, to: 30 * DAY };
    assert.is(dueAt("bus", week, 1), DAY);
    assert.is(dueAt("bus", week, 1.1), 1.1 * DAY);
    assert.is(dueAt("identity", { from: 0, to: 14 * DAY }, 1), DAY);
    assert.is(dueAt("service", month, 1), 10 * DAY);
    assert.is(dueAt("ssh", month, 0.9), 9 * DAY);
  });
  test("the alarm comes with a third of the life left", () => {
    assert.is(isAlarming({ from: 0, to: 30 * DAY }, 19 * DAY), false);
    assert.is(isAlarming({ from: 0, to: 30 * DAY }, 21 * DAY), true);
  });
});
