/** What a live view keeps of the fleet: who belongs to it. */
import { FleetModel } from "@muster/view/model";
import * as assert from "uvu/assert";
import { suite } from "../../kit/suite.ts";
import { known, NOW } from "../ctl/report/samples.ts";

suite("what a live view keeps", (test) => {
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
