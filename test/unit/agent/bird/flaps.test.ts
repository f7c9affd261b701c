/** Falls of a session within the last hour, also those that happened between two samples. */
import type { BgpState } from "@muster/protocol/telemetry/bgp";
import * as assert from "uvu/assert";
import {
  advanceFlaps,
  emptyFlaps,
  FLAP_WINDOW_MS,
  type FlapHistory,
  flapCount,
  isFlapping,
} from "../../../../packages/agent/src/bird/flaps.ts";
import { suite } from "../../../kit/suite.ts";

const T0 = Date.parse("2026-11-21T10:00:00Z");
const at = (minutes: number) => T0 + minutes * 60_000;
const one = (state: BgpState, since_min: number, exact = true) => [
  { name: "a", state, since: { at: new Date(at(since_min)).toISOString(), exact } },
];

function after(steps: readonly (readonly [number, ReturnType<typeof one>])[]): FlapHistory {
  return steps.reduce((history, [minute, seen]) => advanceFlaps(history, seen, at(minute)), emptyFlaps(T0));
}

suite("bird flaps", (test) => {
  test("coming up is no fall, going down is one, and staying down no second", () => {
    const history = after([
      [0, one("active", -5)],
      [1, one("established", 1)],
      [2, one("active", 2)],
      [3, one("connect", 2)],
    ]);
    assert.is(flapCount(history, "a", at(3)), 1);
    assert.is(isFlapping(history, "a", at(3)), false);
  });

  test("up with another Since fell in between; two falls are flapping", () => {
    const history = after([
      [0, one("established", -60)],
      [1, one("established", 0.5)],
      [2, one("established", 1.5)],
    ]);
    assert.is(flapCount(history, "a", at(2)), 2);
    assert.is(isFlapping(history, "a", at(2)), true);
    assert.is(isFlapping(history, "a", at(2) + FLAP_WINDOW_MS), false);
  });

  test("a time that turned into a day, or that differs by rounding, is no fall", () => {
    const history = after([
      [0, one("established", -1199)],
      [1, one("established", -1199.01)],
      [2, one("established", -1440, false)],
      [3, one("established", -1440, false)],
    ]);
    assert.is(flapCount(history, "a", at(3)), null);
    assert.is(flapCount(history, "a", at(61)), 0);
  });

  test("gone while up is a fall; gone for an hour is forgotten", () => {
    const gone = advanceFlaps(after([[0, one("established", -60)]]), [], at(1));
    assert.is(flapCount(gone, "a", at(1)), 1);
    assert.is(flapCount(advanceFlaps(gone, [], at(2)), "a", at(2)), 1);
    assert.is(advanceFlaps(gone, [], at(90)).sessions.size, 0);
  });

  test("the history stays bounded", () => {
    let history = emptyFlaps(T0);
    for (let second = 0; second < 3_000; second += 1) {
      history = advanceFlaps(history, one(second % 2 === 0 ? "established" : "idle", 0), T0 + second * 1_000);
    }
    assert.is(flapCount(history, "a", T0 + 3_000_000), 100);
  });
});
