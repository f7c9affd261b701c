/** Hosts are judged again where something was told of them, or enough time has passed that it shows. */
import { Judge } from "@muster/view/judge";
import * as assert from "uvu/assert";
import { suite } from "../../../kit/suite.ts";
import { DOWN, known, NOW, SESSION, sample } from "../report/samples.ts";
import { smallFleet } from "./fleet.ts";

suite("judging again", (test) => {
  const well = known("core1", { heard_at: NOW, bgp: sample(SESSION) });
  const ill = known("ixp1", { heard_at: NOW, bgp: sample(DOWN) });

  test("what stands still is the same object for three seconds, what is wrong for one, and never before its time", () => {
    const judge = new Judge();
    const first = judge.of(well, NOW);
    assert.is(judge.of(well, NOW + 2_999), first);
    assert.is.not(judge.of(well, NOW + 3_000), first);
    const wrong = judge.of(ill, NOW);
    assert.equal([first.worst, wrong.worst], ["green", "red"]);
    assert.is(judge.of(ill, NOW + 999), wrong);
    assert.is.not(judge.of(ill, NOW + 1_000), wrong);
    assert.is.not(judge.of(well, NOW - 1), first, "a clock that was put back");
  });

  test("another word of a host is judged at once", () => {
    const judge = new Judge();
    const before = judge.of(ill, NOW);
    assert.is.not(judge.of({ ...ill, bgp: sample(SESSION) }, NOW + 1), before);
  });

  test("a host of the model that nobody told anything of stays the same, silent or not, and turns at its time", () => {
    const model = smallFleet();
    const [one, other] = [model.hosts(NOW), model.hosts(NOW + 5_000)];
    assert.equal(
      one.map((host, at) => host === other[at]),
      [true, true, true, true],
    );
    const late = model.hosts(NOW + 30_000);
    assert.equal(
      late.map(({ silent }) => silent),
      [true, true, true, true],
    );
    assert.ok(model.hosts(NOW + 31_000).every((host, at) => host === late[at]));
  });
});
