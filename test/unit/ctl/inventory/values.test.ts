/** Last values in selectors: paths, lists, amounts; and what is said of a mistake, with its column. */
import { TELEMETRY, TELEMETRY_KINDS } from "@muster/protocol";
import * as assert from "uvu/assert";
import { needsOf, select } from "../../../../packages/ctl/src/inventory/selectors.ts";
import { shapeOf } from "../../../../packages/protocol/src/expression/shape.ts";
import { readAmount } from "../../../../packages/protocol/src/expression/values.ts";
import { jsonSchemaOf } from "../../../../packages/protocol/src/json-schema.ts";
import { suite } from "../../../kit/suite.ts";
import { CONVERGENCE, DOWN, SESSION, sample } from "../report/samples.ts";

const health = (available_bytes: number, failed_units: string[] = []) => ({
  ...{ at: 1, uptime_s: 86_400, load: [0.5, 0.4, 0.3], cpu_busy: 0.85, cores: 2, failed_units },
  memory: { total_bytes: 4e9, available_bytes, swap_used_bytes: 0 },
  disks: [
    { mount: "/", size_bytes: 1e10, used_bytes: 4e9 },
    { mount: "/var", size_bytes: 1e10, used_bytes: 9e9 },
  ],
  interfaces: [],
  agent: { rss_bytes: 7e7, cpu_s: 12, uptime_s: 3_600 },
});
const hosts = [
  {
    name: "core1",
    groups: ["core"],
    labels: { site: "ams" },
    values: {
      health: health(3e9),
      bgp: sample(SESSION),
      convergence: { ...CONVERGENCE, agent_version: "0.10.0" },
    },
  },
  {
    name: "ixp1",
    groups: ["ixp"],
    labels: {},
    values: {
      health: { ...health(4e8, ["nginx.service"]), cpu_busy: null },
      bgp: sample(SESSION, DOWN),
      convergence: { ...CONVERGENCE, agent_version: "0.2.0" },
    },
  },
  { name: "mute1", groups: ["ixp"], labels: {}, values: {} },
];
const shapes = Object.fromEntries(
  TELEMETRY_KINDS.map((kind) => [kind, shapeOf(jsonSchemaOf(TELEMETRY[kind].sample, "output"))]),
);
const ask = (expression: string, not: string[] = []) =>
  select(hosts, ["core", "ixp"], expression, not, shapes);

suite("last values in selectors", (test) => {
  for (const [expression, expected, unknown] of [
    ["health.memory.available_bytes<500M", ["ixp1"], ["mute1"]],
    ["health.memory.available_bytes>=2.5G", ["core1"], ["mute1"]],
    ["health.cpu_busy>80%", ["core1"], ["mute1"]],
    ["health.cpu_busy=0.85", ["core1"], ["mute1"]],
    ["health.cpu_busy=85%", ["core1"], ["mute1"]],
    // What is null is no value.
    ["health.cpu_busy=*", ["core1"], ["mute1"]],
    ["health.cpu_busy!=*", ["ixp1"], ["mute1"]],
    ["health.disks.used_bytes>8Gi", ["core1", "ixp1"], ["mute1"]],
    ["health.disks(mount=/ and used_bytes>8Gi)", [], ["mute1"]],
    ["health.disks(mount=/v* and used_bytes>8Gi)", ["core1", "ixp1"], ["mute1"]],
    ["health.failed_units=nginx*", ["ixp1"], ["mute1"]],
    ["health.load>0.4", ["core1", "ixp1"], ["mute1"]],
    [`bgp.sessions(name=${DOWN.name} and state!=established)`, ["ixp1"], ["mute1"]],
    ["bgp.sessions(not state=established)", ["ixp1"], ["mute1"]],
    ["bgp.sessions.state!=established", [], ["mute1"]],
    ["bgp.sessions(channels(family=ipv6 and imported>0))", ["core1", "ixp1"], ["mute1"]],
    ["bgp.daemon.reachable=true", ["core1", "ixp1"], ["mute1"]],
    ["convergence.agent_version<0.3", ["ixp1"], ["mute1"]],
    ["convergence.resources.managed.bird>=0", ["core1", "ixp1"], ["mute1"]],
    // with the rest of the language
    ["ixp and health.memory.available_bytes<500M", ["ixp1"], ["mute1"]],
    ["site=ams or health.failed_units=*", ["core1", "ixp1"], ["mute1"]],
    ["core and health.cpu_busy=*", ["core1"], []],
    ["not health.failed_units=*", ["core1"], ["mute1"]],
  ] as const)
    test(expression, () => {
      const found = ask(expression);
      assert.is(found.fault, null);
      assert.equal([found.hosts, found.unknown], [expected, unknown]);
    });

  test("--not takes values too", () => {
    assert.equal(ask("all", ["health.failed_units=*"]).hosts, ["core1"]);
  });

  test("what has to be known first follows from the text", () => {
    const needs = needsOf(["site=ams and health.cpu_busy>1 and bgp.sessions(state=active)", "fact.bird=2*"]);
    assert.equal([needs.labels, needs.facts, needs.values], [true, ["bird"], ["health", "bgp"]]);
    assert.is(needsOf(["health.cpu_busy>1"]).labels, false);
  });

  for (const [expression, fault] of [
    ["health.cpu>1", /^column 1 .*`health\.cpu` is kept over time only: max\(health\.cpu, 1h\)/],
    ["ixp and helth.cpu_busy>1", /^column 9 .*no telemetry `helth`; did you mean `health`\?/],
    ["health.memory>1", /column 1 .*no single value; there is health\.memory\.total_bytes/],
    ["health.cores.more=1", /`cores` is one value and has no `more`/],
    ["bgp.daemon(name=bird)", /column 1 .*`bgp\.daemon` is no list/],
    ["bgp.sessions(active)", /column 14 .*expected a comparison, as state=active, found `active`/],
    ["bgp.sessions(stat=active)", /column 14 .*has no `stat`; did you mean `state`\?/],
    ["bgp.sessions(state=active", /column 26 .*expected .*the \) of column 13, found the end/],
    ["health.cpu_busy>", /column 17 .*expected a value after >/],
    ["health.cpu_busy>*", /\* goes with = and !=/],
    ["ixp(state=active)", /column 4 .*expected `and`, `or` or a comma, found `\(`/],
  ] as const)
    test(`a mistake: ${expression}`, () => {
      assert.match(ask(expression).fault ?? "", fault);
    });

  test("a command that knows no last values says whose they are", () => {
    assert.match(select(hosts, [], "health.cpu_busy>1").fault ?? "", /column 1 .*are for ctl query/);
  });

  test("amounts", () => {
    assert.equal(["80%", "1.5", "500M", "4GiB", "2Ki", "-3", "10 kB", "many", "1h", ""].map(readAmount), [
      0.8,
      1.5,
      5e8,
      4 * 2 ** 30,
      2_048,
      -3,
      1e4,
      undefined,
      undefined,
      undefined,
    ]);
  });
});
