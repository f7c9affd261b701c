/** Conditions of rules: the expressions of `ctl query` over last values and what was kept, thing by thing; of what is not known nothing rises and nothing falls. */
import { AlertBook } from "@muster/controller/alerts/book";
import { conditionFindings, type KnownHost } from "@muster/controller/alerts/conditions";
import type { AlertRule } from "@muster/protocol/alerting";
import { conditionFault } from "@muster/protocol/condition";
import { telemetryShapes } from "@muster/protocol/expression/shapes";
import { KEPT } from "@muster/protocol/kept";
import * as assert from "uvu/assert";
import { suite } from "../../../kit/suite.ts";
import { found, host, points, rule } from "./known.ts";

const disks = (used: number) => [
  { mount: "/", size_bytes: 100, used_bytes: used },
  { mount: "/var", size_bytes: 200, used_bytes: 20 },
];

suite("conditions", (test) => {
  const busy = host("ixp1", { health: { cpu_busy: 0.9, disks: disks(95) } });
  const calm = host("core1", { health: { cpu_busy: 0.1, disks: disks(10) } });
  const blind = host("probe1", {});

  test("one number, on the hosts that are meant, with what to type; of a host that says nothing it is not known", () => {
    const words = ["ixp1", "metric/mine", "mine: health.cpu_busy is 0.9, told when > 80%"];
    assert.equal(found("health.cpu_busy > 80%", [busy, calm, blind]), [words]);
    assert.equal(found("health.cpu_busy > 80%", [busy], ["core1"]), []);
    const { findings, unsure } = conditionFindings([rule("health.cpu_busy>80%")], [busy, calm, blind]);
    assert.is(findings[0]?.next, "ctl query 'health.cpu_busy>80%'");
    assert.equal([...unsure], ["probe1 mine"]);
    const quoted = "health.disks.mount='/' and health.cpu_busy>80%";
    assert.is(
      conditionFindings([rule(quoted)], [busy]).findings[0]?.next,
      "ctl query 'health.disks.mount='\\''/'\\'' and health.cpu_busy>80%'",
    );
  });

  test("each thing by itself, also divided; what is said of a list; several together are about the host", () => {
    const full = "mine (/): health.disks.used_bytes/health.disks.size_bytes is 0.95, told when > 0.9";
    for (const text of [
      "health.disks.used_bytes/health.disks.size_bytes>0.9",
      "health.disks.used_bytes / health.disks.size_bytes > 90%",
    ])
      assert.equal(
        found(text, [busy, calm]).map(([whose, about]) => [whose, about]),
        [["ixp1", "metric/mine//"]],
        text,
      );
    assert.equal(found("health.disks.used_bytes/health.disks.size_bytes>0.9", [busy])[0]?.[2], full);
    assert.equal(found("health.disks(mount='/v*' and used_bytes/size_bytes>5%)", [busy]), [
      ["ixp1", "metric/mine//var", "mine (/var): health.disks fits"],
    ]);
    assert.equal(found("health.cpu_busy>80% and health.disks.used_bytes>90", [busy, calm, blind]), [
      [
        "ixp1",
        "metric/mine",
        "mine: health.cpu_busy is 0.9, told when > 80%, / health.disks.used_bytes is 95, told when > 90",
      ],
    ]);
  });

  test("of whom it is not known is told: of hosts that speak, and of what a host has, unless a rule names it or nobody has it", () => {
    const told = (when: string, hosts: KnownHost[], only: string[] | null = null) =>
      conditionFindings([rule(when, only)], hosts).not_known.map(({ hosts, count }) => [...hosts, count]);
    const dead = { ...blind, name: "probe2", silent: true, blind: new Set(["health"]) };
    const lost = { ...blind, name: "probe3", blind: new Set(["health"]) };
    assert.equal(told("health.cpu_busy>80%", [busy, calm, blind, dead, lost]), [["probe3", 1]]);
    assert.equal(told("health.cpu_busy>80%", [busy, blind, dead], ["probe1", "probe2"]), [["probe1", 1]]);
    assert.equal(told("packages.pending>80", [busy, blind, dead]), [["ixp1", "probe1", 2]]);
    assert.equal(told("health.cpu_busy>80%", [busy, calm]), []);
    assert.equal(
      told("rate(health.oom_kills,1h)>0", [
        busy,
        { ...calm, past: () => points("oom_kills", Array(61).fill(0)) },
      ]),
      [["ixp1", 1]],
    );
    const many = Array.from({ length: 30 }, (_, at) => ({ ...blind, name: `h${at}` }));
    assert.equal(conditionFindings([rule("health.cpu_busy>80%")], many).not_known, [
      {
        rule: "mine",
        when: "health.cpu_busy>80%",
        hosts: many.slice(0, 8).map(({ name }) => name),
        count: 30,
      },
    ]);
  });

  test("an alert stays while nothing can be said of its condition, also when another rule caught it", () => {
    const book = new AlertBook();
    const rules = [
      { ...rule("health.cpu_busy>80%"), name: "busy", about: ["metric/none"] },
      { ...rule("health.cpu_busy>99%"), name: "catch-all", about: ["*"], when: undefined },
    ] as AlertRule[];
    const look = (cpu_busy: number | null, at: number) => {
      const known = host("ixp1", cpu_busy === null ? {} : { health: { cpu_busy } });
      book.look(
        { ...conditionFindings(rules, [known]), silent: new Set(), quiet: new Map() },
        rules,
        at,
        false,
      );
      return [...book.alerts()].map(({ rule: by, about }) => `${by} ${about}`);
    };
    assert.equal(look(0.9, 1), ["catch-all metric/busy"]);
    assert.equal(look(null, 2), ["catch-all metric/busy"]);
    assert.equal(look(0.1, 3), []);
  });

  test("an alert of which nothing can be said stays; it is over when that is known", () => {
    const book = new AlertBook();
    const rules = [rule("health.cpu_busy>80%")];
    const look = (hosts: KnownHost[], at: number) => {
      const seen = conditionFindings(rules, hosts);
      book.look({ ...seen, silent: new Set(), quiet: new Map() }, rules, at, false);
      return [...book.alerts()].map(({ resolved_at }) => resolved_at === null);
    };
    assert.equal(look([busy], 1), [true]);
    assert.equal(look([host("ixp1", {})], 2), [true]);
    assert.equal(look([host("ixp1", { health: { cpu_busy: 0.1, disks: [] } })], 3), []);
  });

  test("numbers of one thing in a list are found by its name, of every list that is kept; of a tunnel those of its peers", () => {
    const series = (track: string, list: string, column: string) => {
      const [, field = ""] = column.split(/\.(?=[^.]*$)/);
      const element = { name: "it", mount: "it", unit: "it", device: "it" };
      const past = () => points(`${column} it`, Array(61).fill(1));
      const when = `${track}.${list}(max(${field},10m)=1)`;
      return conditionFindings([rule(when)], [{ ...host("ixp1", { [track]: { [list]: [element] } }), past }]);
    };
    const shapes = telemetryShapes();
    let asked = 0;
    for (const { of, columns } of Object.values(KEPT))
      for (const [name, column] of Object.entries(columns) as [string, { each?: true }][]) {
        const [list = "", ...more] = name.split(".");
        if (column.each !== true || more.length !== 1) continue;
        const computed = conditionFault(`${of}.${name}>1`, shapes) !== null;
        if (!computed) assert.is(conditionFault(`${of}.${list}(max(${more[0]},10m)=1)`, shapes), null, name);
        assert.is(series(of, list, name).findings.length, 1, name);
        asked += 1;
      }
    assert.ok(asked > 10, String(asked));
    const tunnel = host("ixp1", { wireguard: { interfaces: [{ name: "wg0" }, { name: "wg1" }] } });
    const past = () =>
      points(
        "interfaces.peers.rx_bytes wg1 KEY=",
        Array.from({ length: 11 }, (_, at) => at * 600),
      );
    const quick = rule("wireguard.interfaces(rate(peers.rx_bytes,10m)>9)");
    assert.equal(
      conditionFindings([quick], [{ ...tunnel, past }]).findings.map(({ about }) => about),
      ["metric/mine/wg1"],
    );
  });

  test("what is none says where, and what would be right", () => {
    const shapes = telemetryShapes();
    for (const [text, why] of [
      ["", /empty/],
      ["ixp1", /expected a comparison of what hosts tell/],
      ["site=ams and health.cpu_busy>1", /expected a comparison of what hosts tell/],
      ["health.cpu_bsy>1", /did you mean `cpu_busy`/],
      ["rate(health.cpu_busy, 5m)>1", /`health.cpu_busy` is not kept over time.*health\.cpu/],
      ["rate(packages.pending, 5m)>1", /nothing of packages is/],
      ["rate(health.interfaces.rx_errors)>1", /column \d+.*expected over which time, as in rate\(/],
      ["rate(health.interfaces.rx_errors, soon)>1", /expected a time from 1m to 2d/],
      ["rate(health.interfaces.rx_errors, 12h)>1", /looks back 6h at most/],
      ["rate(health.interfaces.rx_errors, 5m)", /expected a comparison, such as > 5, found the end/],
      ["health.memory.available_bytes/bgp.at<1", /both must be of health/],
      ["health.load/1/2>1", /one number can be divided by one other/],
      // What could never fit.
      ["health.cpu_busy>high", /`health.cpu_busy` is a number, and high is none: 1.5, 80%, 500M and 4Gi are/],
      ["bgp.sessions(state=establishd)", /`state` is never establishd; did you mean `established`/],
      [
        "bgp.sessions(expected=up and state!=green)",
        /column 30 .*`state` is never green; it is .*established/,
      ],
      ["bgp.sessions.state>5", /`bgp.sessions.state` is .*: it is compared with = and !=/],
      ["bgp.daemon.reachable=yes", /`bgp.daemon.reachable` is never yes; it is true, false/],
      ["rate(health.interfaces.rx_errors, 5m)>many", /is a number, and many is none/],
      ["rate(health.interfaces.rx_errors, 5m)<0", /`rate\(.*\)` only grows: it is never < 0/],
      ["health.interfaces(increase(rx_errors, 5m)<=-1)", /only grows: it is never <= -1/],
      ["bgp.sessions.state/bgp.sessions.imported>1", /has no `imported`|is no number/],
      ["health.disks.mount/health.disks.size_bytes>1", /health.disks.mount is no number/],
      ["health.disks.used_bytes/health.interfaces.rx_bytes>1", /must be of the same list, or of none/],
      ["health.memory.total_bytes/health.disks.size_bytes>1", /must be of the same list, or of none/],
      [
        "wireguard.interfaces(name=wg-core1 and peers(rate(rx_bytes, 5m)<1))",
        /`rate\(rx_bytes, 5m\)`: wireguard.interfaces.peers have no names .*; ask for rate\(wireguard.interfaces.peers.rx_bytes, 5m\)/,
      ],
    ] as const)
      assert.match(conditionFault(text, shapes) ?? "no fault", why, text);
    for (const text of [
      "increase(bgp.imported, 1h)<-100",
      ...["bgp.sessions(state!=established)", "bgp.sessions.state=est*", "bgp.daemon.reachable=false"],
      ...["health.disks.used_bytes/health.memory.total_bytes>1", "rate(health.interfaces.rx_errors,5m)<=0"],
      ...["convergence.agent_version<0.2", "health.cpu_busy=*", "increase(health.disks.used_bytes,1h)<0"],
      "max(checks.checks.latency_ms,6h)>500",
      "health.memory.available_bytes / health.memory.total_bytes < 5%",
    ])
      assert.is(conditionFault(text, shapes), null, text);
  });
});
