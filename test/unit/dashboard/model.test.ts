/** What a live view keeps of the fleet: who belongs to it, and what happened, in order. */
import { FleetModel } from "@muster/view/model";
import * as assert from "uvu/assert";
import { suite } from "../../kit/suite.ts";
import { known, NOW } from "../ctl/report/samples.ts";

suite("what a live view keeps", (test) => {
  test("events stand once and as they happened, also what is told late, and of more than are kept the oldest go", () => {
    const model = new FleetModel("as64500", "alice", null);
    const tell = (at: number, late_ms?: number) =>
      model.tell({
        host: "ixp1",
        event: { at, kind: "session", severity: "error", what: `at ${at}` },
        late_ms,
      });
    for (const at of [10, 20, 30, 30]) tell(at);
    tell(15, 60_000);
    tell(20, 60_000);
    assert.equal(
      model.events.map(({ event, late_ms }) => [event.at, late_ms ?? 0]),
      [
        [10, 0],
        [15, 60_000],
        [20, 0],
        [20, 60_000],
        [30, 0],
      ],
    );
    for (let at = 0; at < 600; at++) tell(100 + at);
    tell(5, 60_000);
    assert.equal([model.events.length, model.events[0]?.event.at], [500, 200]);
  });

  test("a host that the controllers know no more goes, unless it told something since they were asked", () => {
    const model = new FleetModel("as64500", "alice", null);
    const names = () => model.hosts(NOW).map(({ name }) => name);
    model.begin(
      [
        known("core1", { heard_at: NOW - 60_000 }),
        known("gone1", { heard_at: NOW - 60_000 }),
        known("joined1", { heard_at: NOW + 10 }),
        known("never1", { heard_at: null }),
      ],
      [],
    );
    model.keep(new Set(["core1"]), NOW);
    assert.equal(names(), ["core1", "joined1"]);
    model.keep(new Set(["core1"]), NOW + 20);
    assert.equal(names(), ["core1"]);
  });
});
