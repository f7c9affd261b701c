/** Selectors: names, groups, patterns, labels, and what is said of one that fits nothing. */
import * as assert from "uvu/assert";
import { select } from "../../../../packages/ctl/src/inventory/selectors.ts";
import { suite } from "../../../kit/suite.ts";

const hosts = [
  { name: "core1", groups: ["core", "routers"], labels: { site: "ams" } },
  { name: "ixp1", groups: ["ixp", "routers"], labels: { site: "ams", exchange: "locix" } },
  { name: "ixp2", groups: ["ixp", "routers"], labels: { site: "fra" } },
];
const groups = ["core", "ixp", "routers", "probe"];

suite("selectors", (test) => {
  for (const [selector, not, expected] of [
    ["ixp1", [], ["ixp1"]],
    ["ixp", [], ["ixp1", "ixp2"]],
    ["ixp*", [], ["ixp1", "ixp2"]],
    ["ixp?", ["ixp1"], ["ixp2"]],
    ["site=ams", [], ["core1", "ixp1"]],
    ["ixp2, core", [], ["core1", "ixp2"]],
    ["all", ["site=ams,probe"], ["ixp2"]],
    ["probe", [], []],
  ] as const)
    test(`${selector} without [${not.join(" ")}]`, () => {
      assert.equal(select(hosts, groups, selector, not), { hosts: [...expected], fault: null });
    });

  for (const [selector, fault] of [
    ["ixp11", "no host or group `ixp11`; did you mean `ixp1`?"],
    ["sit=ams", "no label `sit`; did you mean `site`?"],
    ["site=fraa", "no host has site=fraa; did you mean `fra`?"],
    ["x*", "no host matches `x*`"],
    [" , ", "the selector is empty; `all` means every host"],
  ] as const)
    test(`fault: ${selector}`, () => assert.equal(select(hosts, groups, selector), { hosts: [], fault }));
});
