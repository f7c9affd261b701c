/** Printed times into instants: zones, midnight, days, epochs. */
import * as assert from "uvu/assert";
import { birdClock, sinceInstant } from "../../../../packages/agent/src/bird/since.ts";
import { suite } from "../../../kit/suite.ts";

suite("bird since", (test) => {
  test("a zone of quarter hours, whatever the delay between the two clocks", () => {
    for (const delay_ms of [-3_000, 0, 4_000]) {
      const clock = birdClock("2026-11-21 15:05:00.000", Date.parse("2026-11-21T09:20:00Z") + delay_ms);
      assert.is(clock?.offset_ms, (5 * 60 + 45) * 60_000);
      assert.equal(sinceInstant("15:00:00.250", clock), { at: "2026-11-21T09:15:00.250Z", exact: true });
    }
  });

  test("a time later than now was yesterday; one that came just after `show status` is today", () => {
    const clock = birdClock("2026-11-21 00:10:00.000", Date.parse("2026-11-21T00:10:00Z"));
    assert.is(sinceInstant("23:59:59.999", clock).at, "2026-11-20T23:59:59.999Z");
    assert.is(sinceInstant("00:10:02.000", clock).at, "2026-11-21T00:10:02.000Z");
  });

  test("a day alone is its start in BIRD's zone and not exact", () => {
    const clock = birdClock("2026-11-21 12:00:00.000", Date.parse("2026-11-21T10:00:00Z"));
    assert.equal(sinceInstant("2026-11-19", clock), { at: "2026-11-18T22:00:00.000Z", exact: false });
  });

  test("minutes only are not exact; seconds of the epoch need no clock; other text is unknown", () => {
    const clock = birdClock("2026-11-21 12:00:00", Date.parse("2026-11-21T12:00:00Z"));
    assert.equal(sinceInstant("11:30", clock), { at: "2026-11-21T11:30:00.000Z", exact: false });
    assert.equal(sinceInstant("1795160000", null), { at: "2026-11-20T07:33:20.000Z", exact: true });
    assert.equal(sinceInstant("Nov20", clock), { at: null, exact: false });
    assert.equal(sinceInstant("11:30:00", null), { at: null, exact: false });
    assert.is(birdClock("21.11.26", 0), null);
  });
});
