/** Selectors: names, groups, patterns, labels, facts and what joins them; and what is said of one that is wrong. */
import * as assert from "uvu/assert";
import { needsOf, select, selectHosts } from "../../../../packages/ctl/src/inventory/selectors.ts";
import { suite } from "../../../kit/suite.ts";

const facts = (os: string, bird: string | null, cores = "4") => ({
  os: [os],
  bird: bird === null ? [] : [bird],
  cores: [cores],
  address: ["192.0.2.1", "2001:db8::1"],
});
const hosts = [
  {
    name: "core1",
    groups: ["core", "routers"],
    labels: { site: "ams" },
    facts: facts("Debian 12", "2.0.12", "16"),
  },
  {
    name: "ixp1",
    groups: ["ixp", "routers"],
    labels: { site: "ams", exchange: "locix" },
    facts: facts("Debian 13", "2.16.1"),
  },
  { name: "ixp2", groups: ["ixp", "routers"], labels: { site: "New York" }, facts: facts("Debian 12", null) },
  { name: "mute1", groups: ["probe"], labels: {} },
];
const groups = ["core", "ixp", "routers", "probe", "empty"];

suite("selectors", (test) => {
  for (const [selector, not, expected, unknown = []] of [
    ["ixp1", [], ["ixp1"]],
    ["ixp", [], ["ixp1", "ixp2"]],
    ["ixp*", [], ["ixp1", "ixp2"]],
    ["ixp?", ["ixp1"], ["ixp2"]],
    ["site=ams", [], ["core1", "ixp1"]],
    ["ixp2, core", [], ["core1", "ixp2"]],
    [",ixp2,,core,", [], ["core1", "ixp2"]],
    ["routers", ["site=ams,probe"], ["ixp2"]],
    ["empty", [], []],
    ["all", [], ["core1", "ixp1", "ixp2", "mute1"]],
    // joined
    ["ixp and site=ams", [], ["ixp1"]],
    ["core or ixp1", [], ["core1", "ixp1"]],
    ["routers and not ixp", [], ["core1"]],
    ["not routers", [], ["mute1"]],
    ["not not core", [], ["core1"]],
    ["core or ixp and site=ams", [], ["core1", "ixp1"]],
    ["(core or ixp) and site=ams", [], ["core1", "ixp1"]],
    ["core, ixp and exchange=*", [], ["core1", "ixp1"]],
    ["routers and not (ixp1, core)", [], ["ixp2"]],
    ["all", ["ixp or core"], ["mute1"]],
    ["all", ["not ixp"], ["ixp1", "ixp2"]],
    // labels
    ["site!=ams", [], ["ixp2", "mute1"]],
    ["site=New York", [], ["ixp2"]],
    ["site=New York or core", [], ["core1", "ixp2"]],
    ["site='New York'", [], ["ixp2"]],
    ["exchange=loc*", [], ["ixp1"]],
    // facts; mute1 tells none
    ["fact.os='Debian 12*'", [], ["core1", "ixp2"], ["mute1"]],
    ["fact.os=Debian 12 and ixp", [], ["ixp2"]],
    ["fact.bird=2.0.12", [], ["core1"], ["mute1"]],
    ["routers and fact.bird<2.16", [], ["core1"]],
    ["routers and fact.bird>=2.0.12", [], ["core1", "ixp1"]],
    ["routers and not fact.bird=*", [], ["ixp2"]],
    ["fact.cores>4 and routers", [], ["core1"]],
    ["fact.address=2001:db8:* and ixp1", [], ["ixp1"]],
    ["not fact.bird=*", [], ["ixp2"], ["mute1"]],
    ["probe or fact.bird=*", [], ["core1", "ixp1", "mute1"]],
    ["all", ["fact.os=Debian 12"], ["ixp1"], ["mute1"]],
  ] as const)
    test(`${selector} without [${not.join(" ")}]`, () => {
      assert.equal(select(hosts, groups, selector, not), {
        hosts: [...expected],
        unknown: [...unknown],
        fault: null,
      });
    });

  for (const [selector, fault] of [
    ["ixp11", "no host or group `ixp11`; did you mean `ixp1`?"],
    ["sit=ams", "no label `sit`; did you mean `site`?"],
    ["site=amz", "no host has site=amz; did you mean `ams`?"],
    ["x*", "no host matches `x*`"],
    [" , ", "the selector is empty; `all` means every host"],
    ["core and ixp11", "column 10 of the selector: no host or group `ixp11`; did you mean `ixp1`?"],
    ["core ixp", "column 6 of the selector: expected `and`, `or` or a comma, found `ixp`"],
    [
      "core and",
      "column 9 of the selector: expected a host, group, pattern, label=value or fact.name=value, found the end",
    ],
    [
      "core and or ixp",
      "column 10 of the selector: expected a host, group, pattern, label=value or fact.name=value, found `or`",
    ],
    ["(core, ixp", "column 11 of the selector: expected the ) of column 1, found the end"],
    ["core)", "column 5 of the selector: expected `and`, `or` or a comma, found `)`"],
    ["site=", "column 6 of the selector: expected a value after =, found the end"],
    ["site='ams", "column 6 of the selector: this ' is not closed"],
    ["fact.bird2=1", "no fact `bird2`; did you mean `bird`?"],
    ["bird=2.0.12", "no label `bird`; a fact is written fact.bird=2.0.12"],
    ["site<ams", "labels are text: `site` takes = and !=; `<` is for facts, such as fact.site<ams"],
    [`${"(".repeat(60)}core${")".repeat(60)}`, "column 52 of the selector: nested too deeply"],
  ] as const)
    test(`fault: ${selector.slice(0, 40)}`, () =>
      assert.equal(select(hosts, groups, selector), { hosts: [], unknown: [], fault }));

  test("quotes make a name of a word that joins", () => {
    const odd = [{ name: "and", groups: [], labels: {} }];
    assert.equal(select(odd, [], "'and' or \"and\"").hosts, ["and"]);
  });

  test("what has to be known is told before anything is fetched", () => {
    const none = { labels: false, facts: [], names: [], values: [] };
    assert.equal(needsOf(["ixp1 and not ixp*"]), { ...none, names: ["ixp1", "ixp*"] });
    assert.equal(needsOf(["ixp1", "site=a or fact.os=x"]), {
      ...none,
      labels: true,
      facts: ["os"],
      names: ["ixp1"],
    });
    assert.equal(needsOf(["("]), none);
  });

  test("a command that asks nobody refuses facts", () => {
    assert.throws(() => selectHosts(hosts, groups, "fact.os=Debian 12"), /cannot choose by facts/);
  });
});
