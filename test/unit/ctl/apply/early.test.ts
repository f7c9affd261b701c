/** Plans that were asked for before it was known what may be built on: they count for what they were asked about, and for nothing else. */
import * as assert from "uvu/assert";
import { withEarly } from "../../../../packages/ctl/src/apply/early.ts";
import type { Planned } from "../../../../packages/ctl/src/apply/plans.ts";
import type { Target } from "../../../../packages/ctl/src/apply/scope.ts";
import { suite } from "../../../kit/suite.ts";

const target = (name: string, hash: string, id = `U${name}`): Target => ({
  ...{ name, id, last: null, changed: true },
  desired: {
    content: { groups: [], labels: {}, resources: [], switches: [] },
    content_hash: hash,
    ...{ rolled_back: {}, held_back: [], outside: [] },
  },
});
const plannedAs =
  (index: string | null) =>
  (whom: Target): Planned => ({
    target: whom,
    plan:
      index === null
        ? null
        : {
            ...{ host: whom.name, content_hash: whom.desired.content_hash, index },
            ...{ steps: [], waiting: [], drift: [], left: [], notes: [], guard: null },
          },
  });

suite("early", (test) => {
  const run = async (before: readonly Target[], index: string | null, now: readonly Target[]) => {
    let asked: readonly Target[] = [];
    const early = {
      targets: new Map(before.map((each) => [each.name, each])),
      planned: Promise.resolve(before.map(plannedAs(index))),
    };
    const planned = await withEarly(early, now, async (targets) => {
      asked = targets;
      return targets.map(plannedAs("now"));
    });
    return {
      asked: asked.map(({ name }) => name),
      planned: planned.map(({ target: { name }, plan }) => [
        name,
        plan !== null && "index" in plan && plan.index,
      ]),
      targets: planned.map((each) => each.target),
    };
  };

  test("other content, another key and a host that was not asked are asked now; order and targets are those of what is signed", async () => {
    const before = [target("same", "1"), target("other", "1"), target("rekeyed", "1"), target("gone", "1")];
    const now = [
      target("new", "1"),
      target("rekeyed", "1", "Uelse"),
      target("other", "2"),
      target("same", "1"),
    ];
    const told = await run(before, "early", now);
    assert.equal(told.asked, ["new", "rekeyed", "other"]);
    assert.equal(told.planned, [
      ["new", "now"],
      ["rekeyed", "now"],
      ["other", "now"],
      ["same", "early"],
    ]);
    assert.equal(told.targets, now);
  });

  test("who was silent is silent, and not asked again", async () => {
    const told = await run([target("away", "1")], null, [target("away", "1")]);
    assert.equal(told, { asked: [], planned: [["away", false]], targets: [target("away", "1")] });
  });
});
