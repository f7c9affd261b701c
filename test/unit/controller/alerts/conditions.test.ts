/** Conditions of rules: the expressions of `ctl query` over last values and what was kept, thing by thing; of what is not known nothing rises and nothing falls. */
import { AlertBook } from "@muster/controller/alerts/book";
import { conditionFindings, type KnownHost } from "@muster/controller/alerts/conditions";
import { PastOfFleet } from "@muster/controller/alerts/past";
import { RecentPoints } from "@muster/controller/telemetry/recent";
import type { AlertRule } from "@muster/protocol/alerting";
import { conditionFault } from "@muster/protocol/condition";
import { FleetError } from "@muster/protocol/errors";
import { telemetryShapes } from "@muster/protocol/expression/shapes";
import { type Point, trackOf } from "@muster/protocol/history";
import { KEPT } from "@muster/protocol/kept";
import * as assert from "uvu/assert";
import { suite } from "../../../kit/suite.ts";

const MIN = 60_000;
const host = (name: string, values: object): KnownHost => ({ name, values: values as KnownHost["values"] });
const disks = (used: number) => [
  { mount: "/", size_bytes: 100, used_bytes: used },
  { mount: "/var", size_bytes: 200, used_bytes: 20 },
];
const rule = (when: string, hosts: string[] | null = null): AlertRule => ({
  ...{ name: "mine", about: ["metric/mine", "metric/mine/*"], when, hosts, severity: "page" },
  ...{ for_ms: 0, rise: 1, fall: 1 },
});
const found = (when: string, hosts: KnownHost[], only: string[] | null = null) =>
  conditionFindings([rule(when, only)], hosts).findings.map(({ host: whose, about, what }) => [
    whose,
    about,
    what,
  ]);
/** Points a minute apart, or `every_ms`. */
const points = (name: string, values: (number | null)[], every_ms = MIN): Point[] =>
  values.map((value, index) => ({ at: index * every_ms, numbers: { [name]: value } }));

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

  test("what it did over a time: a second, in all, the least and the most; a counter that begins anew goes on", () => {
    const of = (track: string, all: Point[]): KnownHost => ({
      ...host("ixp1", { health: {}, containers: {}, checks: {} }),
      past: (name) => (name === track ? all : undefined),
    });
    const errors = of("machine", points("interfaces.rx_errors eth0", [0, 0, 60, 120, 120, 180]));
    assert.equal(found("rate(health.interfaces.rx_errors, 5m)>0.5", [errors]), [
      [
        "ixp1",
        "metric/mine/eth0",
        "mine (eth0): rate(health.interfaces.rx_errors, 5m) is 0.6, told when > 0.5",
      ],
    ]);
    const restarts = of("containers", points("containers.restarts web", [7, 8, 0, 1, 2, 3]));
    assert.match(
      found("increase(containers.containers.restarts,5m)>=4", [restarts])[0]?.[2] ?? "",
      / is 4, told/,
    );
    assert.equal(found("increase(containers.containers.restarts,5m)>4", [restarts]), []);
    const filling = of("machine", points("disks.used_bytes /", [9e9, 5e9, 6e9, 7e9, 7e9, 8e9]));
    assert.match(
      found("increase(health.disks.used_bytes, 4m)>2G", [filling])[0]?.[2] ?? "",
      / is 3000000000, told/,
    );
    assert.match(
      found("increase(health.disks.used_bytes, 5m)<0", [filling])[0]?.[2] ?? "",
      / is -1000000000, told/,
    );
    const check = of("checks", points("checks.up web", [1, 1, 1, 0, null, 1, 1, 1, 1, 1, 1], MIN / 2));
    assert.equal(found("min(checks.checks.up, 5m)<1", [check]).length, 1);
    assert.match(found("mean(checks.checks.up, 5m)<95%", [check])[0]?.[2] ?? "", / is 0\.9, told/);
    assert.equal(found("max(checks.checks.up, 5m)<1", [check]), []);
  });

  test("a time that is not known whole is not known; one thing that came within it is, from there on; one that is gone is not told", () => {
    const of = (all: Point[]): KnownHost => ({ ...host("ixp1", { containers: {} }), past: () => all });
    const judge = (all: Point[]) =>
      conditionFindings([rule("increase(containers.containers.restarts, 10m)>2")], [of(all)]);
    assert.equal([...judge(points("containers.restarts web", [0, 1, 2, 3, 4, 5])).unsure], ["ixp1 mine"]);
    assert.equal([...judge([]).unsure], ["ixp1 mine"]);
    const late = [null, null, null, null, null, null, null, 1, 2, 3, 4];
    assert.is(judge(points("containers.restarts web", late)).findings.length, 1);
    const gone = [0, 1, 2, 3, 4, 5, null, null, null, null, null];
    assert.is(judge(points("containers.restarts web", gone)).findings.length, 0);
    assert.is(judge(points("containers.restarts web", gone)).unsure.size, 0);
  });

  test("a time with holes is not known when a fifth of it is missing: of the host, or of one thing", () => {
    const all = (count: number, value: (minute: number) => number) =>
      Array.from({ length: count }, (_, at) => value(at));
    const told = points(
      "interfaces.rx_errors eth0",
      all(61, (minute) => minute * 120),
    );
    const without = (from: number, to: number) => told.filter(({ at }) => at <= from * MIN || at >= to * MIN);
    const judge = (machine: Point[], when: string) => {
      const health = { interfaces: [{ name: "eth0" }] };
      const known = { ...host("ixp1", { health }), past: () => machine };
      const { findings, unsure } = conditionFindings([rule(when)], [known]);
      return [findings.length, unsure.size];
    };
    for (const when of [
      "rate(health.interfaces.rx_errors,1h)>1",
      "health.interfaces(name=eth0 and rate(rx_errors,1h)>1)",
    ]) {
      const ask = (machine: Point[]) => judge(machine, when);
      assert.equal(ask(told), [1, 0]);
      assert.equal(ask(without(20, 32)), [1, 0]);
      assert.equal(ask(without(20, 34)), [0, 1]);
      // Several that are short, and one that the time begins in.
      assert.equal(ask(told.filter(({ at }) => (at / MIN) % 4 === 0)), [0, 1]);
      assert.equal(ask([{ at: -60 * MIN, numbers: told[0]?.numbers ?? {} }, ...without(-1, 14)]), [0, 1]);
    }
    // Of the second thing half is not known: the first fires all the same, and the second neither begins nor ends.
    const two = told.map(({ at, numbers }, minute) => ({
      at,
      numbers: { ...numbers, "interfaces.rx_errors eth1": minute > 10 && minute < 50 ? null : 0 },
    }));
    assert.equal(judge(two, "rate(health.interfaces.rx_errors,1h)>1"), [1, 1]);
    assert.equal(judge(two, "rate(health.interfaces.rx_errors,1h)<1"), [0, 1]);
    // Of the host itself nothing is not known, and not nothing.
    const bgp = (up: (minute: number) => number | null) =>
      conditionFindings(
        [rule("min(bgp.up,10m)<3")],
        [
          {
            ...host("ixp1", { bgp: {} }),
            past: () =>
              points(
                "up",
                Array.from({ length: 61 }, (_, at) => up(at)),
                10_000,
              ),
          },
        ],
      );
    assert.is(bgp(() => 2).findings.length, 1);
    assert.equal([...bgp(() => null).unsure], ["ixp1 mine"]);
    assert.equal([...bgp((at) => (at > 30 ? null : 2)).unsure], ["ixp1 mine"]);
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

  test("what is looked back at: from the stream once, then from what is heard, as long as it is asked for", async () => {
    let now_ms = 60 * MIN;
    let reads = 0;
    const told = points(
      "interfaces.rx_errors eth0",
      Array.from({ length: 56 }, (_, minute) => minute),
    );
    const other = { "interfaces.tx_errors eth0": 1 };
    const track = trackOf(told.map(({ at, numbers }) => ({ at, numbers: { ...numbers, ...other } })));
    const body = Buffer.from(JSON.stringify({ tracks: { machine: track } }));
    const heard: Point[] = [{ at: 50 * MIN, numbers: { "interfaces.rx_errors eth0": 50 } }];
    const past = new PastOfFleet({
      bus: {
        async *readAll() {
          reads += 1;
          yield { subject: "history.x.ixp1", body, seq: 1, stored_at: 1, headers: {} };
          yield { subject: "history.x.ixp1", body: Buffer.from("{"), seq: 2, stored_at: 1, headers: {} };
        },
      } as never,
      log: { warn() {} } as never,
      now: () => now_ms,
      recent: () => heard,
    });
    const when = "rate(health.interfaces.rx_errors, 30m)>0.01";
    const look = () => {
      past.need([when], [{ name: "ixp1", id: "x" }]);
      return conditionFindings([rule(when)], [{ ...host("ixp1", { health: {} }), past: past.of("ixp1") }]);
    };
    assert.equal([...look().unsure], ["ixp1 mine"]);
    await past.settled();
    for (const minute of [56, 57, 58, 59])
      heard.push({ at: minute * MIN, numbers: { "interfaces.rx_errors eth0": minute } });
    assert.match(look().findings[0]?.what ?? "", /is 0\.01667, told/);
    const kept = past.of("ixp1")("machine", { fn: "rate", window_ms: 30 * MIN }) ?? [];
    assert.equal([kept[0]?.at, kept.at(-1)?.at], [27 * MIN, 59 * MIN]);
    assert.equal(Object.keys(kept[0]?.numbers ?? {}), ["interfaces.rx_errors eth0"]);
    await past.settled();
    assert.is(reads, 1);
    // Nobody looked for longer than what is heard reaches back: it begins anew.
    now_ms += 30 * MIN;
    look();
    await past.settled();
    assert.is(reads, 2);
  });

  test("six hours of points every 10 s are held in 150 at most, the least and the most stay, and who asks for none holds none", async () => {
    const heard: Point[] = Array.from({ length: 2_400 }, (_, at) => ({
      at: at * 10_000,
      numbers: { "imported upstream": at === 1_500 ? 3 : at === 1_501 ? 900 : 100, up: 1 },
    }));
    const past = new PastOfFleet({
      bus: { async *readAll() {} } as never,
      ...{ log: { warn() {} } as never, now: () => 24_000_000, recent: () => heard },
    });
    const rules = ["min(bgp.imported,6h)<4", "max(bgp.imported,6h)>899", "mean(bgp.imported,6h)>99"].map(
      (when, at) => ({ ...rule(when), name: `r${at}` }),
    );
    const ask = (all: AlertRule[]) =>
      past.need(
        all.flatMap(({ when }) => when ?? []),
        [{ name: "ixp1", id: "x" }],
      );
    ask(rules);
    await past.settled();
    const of = past.of("ixp1");
    const known = () => conditionFindings(rules, [{ ...host("ixp1", { bgp: {} }), past: of }]);
    assert.is(known().findings.length, 3);
    const asked = { fn: "min", window_ms: 6 * 60 * MIN } as const;
    const held = of("bgp", asked) ?? [];
    assert.ok(held.length > 100 && held.length <= 150, String(held.length));
    assert.equal(Object.keys(held[0]?.numbers ?? {}), ["imported upstream"]);
    // Nothing new: the same list, of which is known what came.
    ask(rules);
    assert.is(of("bgp", asked), held);
    heard.push({ at: 24_000_000, numbers: { "imported upstream": 1, up: 1 } });
    ask(rules);
    assert.match(known().findings[0]?.what ?? "", / is 1, told/);
    ask([]);
    assert.is(of("bgp", asked), undefined);
  });

  test("what a clock told that was ahead is not looked back at, neither of the stream nor of what was heard", async () => {
    const DAY = 24 * 60 * MIN;
    const name = "interfaces.rx_errors eth0";
    const told = [...points(name, [0, 1, 2, 3, 4, 5, 6]), { at: DAY, numbers: { [name]: 900 } }];
    const body = Buffer.from(JSON.stringify({ tracks: { machine: trackOf(told) } }));
    const heard = new RecentPoints();
    const sample = (minute: number, at: number) =>
      heard.take(
        "bgp",
        { at: new Date(at).toISOString(), daemon: { reachable: true }, sessions: [] },
        minute,
      );
    const past = new PastOfFleet({
      bus: {
        async *readAll() {
          yield { subject: "history.x.ixp1", body, seq: 1, stored_at: 1, headers: {} };
        },
      } as never,
      ...{ log: { warn() {} } as never, now: () => 7 * MIN },
      recent: (_host, track) => heard.of(track),
    });
    const look = () =>
      past.need(["rate(health.interfaces.rx_errors,5m)>1 or max(bgp.up,5m)>1"], [{ name: "ixp1", id: "x" }]);
    const newest = (track: "machine" | "bgp", fn: "rate" | "max") =>
      past
        .of("ixp1")(track, { fn, window_ms: 5 * MIN })
        ?.at(-1)?.at;
    sample(7 * MIN, DAY);
    look();
    await past.settled();
    assert.is(newest("machine", "rate"), 6 * MIN);
    assert.is(newest("bgp", "max"), DAY);
    sample(8 * MIN, 8 * MIN);
    look();
    assert.is(newest("bgp", "max"), 8 * MIN);
  });

  test("hosts of whom the past cannot be read keep nobody else from being read, and are asked again later", async () => {
    let now_ms = 60 * MIN;
    const asked: string[] = [];
    const warned: unknown[] = [];
    const past = new PastOfFleet({
      bus: {
        // biome-ignore lint/correctness/useYield: it fails, or there is nothing.
        async *readAll(_stream: string, subject: string) {
          asked.push(subject);
          if (/bad/.test(subject)) throw new FleetError("TIMEOUT", "too slow");
        },
      } as never,
      ...{
        log: { warn: (told: unknown) => warned.push(told) } as never,
        now: () => now_ms,
        recent: () => [],
      },
    });
    const hosts = ["bad1", "bad2", "bad3", "bad4", "good"].map((id) => ({ name: id, id }));
    const look = async () => {
      past.need(["rate(health.interfaces.rx_errors,5m)>1"], hosts);
      await past.settled();
      return asked.splice(0).length;
    };
    assert.is(await look(), 5);
    assert.is(warned.length, 1);
    assert.is(await look(), 0);
    now_ms += MIN;
    assert.is(await look(), 4);
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
