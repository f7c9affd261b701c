/** Conditions over a time: what is kept of before, where it comes from, and when it is not known. */
import { conditionFindings, type KnownHost } from "@muster/controller/alerts/conditions";
import { PastOfFleet } from "@muster/controller/alerts/past";
import { RecentPoints } from "@muster/controller/telemetry/recent";
import type { AlertRule } from "@muster/protocol/alerting";
import { FleetError } from "@muster/protocol/errors";
import { type Point, trackOf } from "@muster/protocol/history";
import * as assert from "uvu/assert";
import { suite } from "../../../kit/suite.ts";
import { found, host, MIN, points, rule } from "./known.ts";

suite("conditions over a time", (test) => {
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
});
