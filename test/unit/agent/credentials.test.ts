/** When a credential is renewed, and when somebody is told: one rule for three lives. */
import { isAlarming, isDue } from "@muster/agent/credentials";
import * as assert from "uvu/assert";
import { suite } from "../../kit/suite.ts";

const DAY = 86_400_000;

suite("credentials", (test) => {
  test("a JWT of seven days is renewed after one, certificates of thirty after ten", () => {
    const week = { from: 0, to: 7 * DAY };
    const month = { from: 0, to: 30 * DAY };
    assert.is(isDue("bus", week, 1, 0.99 * DAY), false);
    assert.is(isDue("bus", week, 1, 1.01 * DAY), true);
    assert.is(isDue("bus", week, 1.1, 1.05 * DAY), false);
    assert.is(isDue("service", month, 1, 9.9 * DAY), false);
    assert.is(isDue("ssh", month, 0.9, 9.1 * DAY), true);
  });
  test("the alarm comes with a third of the life left", () => {
    assert.is(isAlarming({ from: 0, to: 30 * DAY }, 19 * DAY), false);
    assert.is(isAlarming({ from: 0, to: 30 * DAY }, 21 * DAY), true);
  });
});
