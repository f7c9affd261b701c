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
/** By both clocks, with the one of the day `set` so many minutes ahead. */
const clocks = (minutes: number, set = 0) => ({ day_ms: at(minutes + set), steady_ms: minutes * 60_000 });
const one = (state: BgpState, since_min: number, exact = true) => [
  { name: "a", state, since: { at: new Date(at(since_min)).toISOString(), exact } },
];

function after(steps: readonly (readonly [number, ReturnType<typeof one>])[]): FlapHistory {
  return steps.reduce(
    (history, [minute, seen]) => advanceFlaps(history, seen, clocks(minute)),
    emptyFlaps(clocks(0)),
  );
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
    const gone = advanceFlaps(after([[0, one("established", -60)]]), [], clocks(1));
    assert.is(flapCount(gone, "a", at(1)), 1);
    assert.is(flapCount(advanceFlaps(gone, [], clocks(2)), "a", at(2)), 1);
    assert.is(advanceFlaps(gone, [], clocks(90)).sessions.size, 0);
  });

  for (const [name, set] of [
    ["forwards", 60],
    ["backwards", -60],
  ] as const)
    test(`a clock that is set ${name} moves each Since, and nothing has fallen; what fell before is as long ago as it is`, () => {
      const before = after([
        [0, one("established", -60)],
        [1, one("active", 1)],
        [2, one("established", 2)],
      ]);
      const moved = advanceFlaps(before, one("established", 2 + set), clocks(3, set));
      assert.is(flapCount(moved, "a", at(3 + set)), 1);
      assert.is(flapCount(moved, "a", at(60.5 + set)), 1);
      assert.is(flapCount(moved, "a", at(62 + set)), 0);
      const noted = advanceFlaps(before, one("established", 2), clocks(3, set));
      assert.is(flapCount(noted, "a", at(3 + set)), 1, "one whose Since stays as it was noted");
      const fallen = advanceFlaps(moved, one("established", 3.5 + set), clocks(4, set));
      assert.is(flapCount(fallen, "a", at(4 + set)), 2, "one that did fall is seen by the new clock too");
    });

  test("the history stays bounded", () => {
    let history = emptyFlaps(clocks(0));
    for (let second = 0; second < 3_000; second += 1) {
      const seen = one(second % 2 === 0 ? "established" : "idle", 0);
      history = advanceFlaps(history, seen, clocks(second / 60));
    }
    assert.is(flapCount(history, "a", T0 + 3_000_000), 100);
  });
});
