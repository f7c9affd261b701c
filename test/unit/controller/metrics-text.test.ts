// limit: 120 s
/** The text of `/metrics` from parts that are kept: the same to the byte as made anew, whatever changes, made for what changed alone, and once for all who ask. */
import { request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { type HostRecord, subjects, TELEMETRY_KINDS, type TelemetryKind } from "@muster/protocol";
import { SILENT_AFTER_MS } from "@muster/protocol/telemetry/convergence";
import * as assert from "uvu/assert";
import { samplesOf } from "../../../bench/one-host.ts";
import { expose, type Family } from "../../../packages/controller/src/metrics/exposition.ts";
import {
  type FleetSource,
  fleetMetrics,
  METRICS_OF_A_HOST,
} from "../../../packages/controller/src/metrics/fleet.ts";
import { serveMetrics } from "../../../packages/controller/src/metrics/server.ts";
import { FleetText } from "../../../packages/controller/src/metrics/text.ts";
import { LastValues } from "../../../packages/controller/src/telemetry/last.ts";
import { eventually } from "../../kit/eventually.ts";
import { assertWithin, measured } from "../../kit/figures.ts";
import { suite } from "../../kit/suite.ts";

const NOW = 1_790_000_000_000;
const NAMES = ["core1", "ixp1", "probe1", "edge1", "edge2", "h-9"];

/** The records of so many hosts, and what was last heard of them. */
class Ground {
  readonly records = new Map<string, HostRecord>();
  readonly last = new LastValues({ byName: (name: string) => this.records.get(name) } as never);
  #enrolled = 0;

  source(): FleetSource {
    const { records, last } = this;
    const byName = (name: string) => records.get(name);
    return { records: { names: () => [...records.keys()].sort(), byName }, last, leading: true };
  }

  enrol(name: string): void {
    this.#enrolled += 1;
    this.records.set(name, {
      ...{
        name,
        id: `U${String(this.#enrolled).padStart(55, "A")}`,
        ssh_public_key: "",
        curve: "",
        groups: [],
      },
      ...{ enrolled_at: 0, enrolled_by: "alice", recoveries: 0, state: "enrolled", os: "Debian 12" },
      ...{ agent_version: "0.1.0", certificates: { user_jwt: 0, service: 0, ssh: 0 } },
    });
  }

  say(name: string, kind: TelemetryKind, sample: object, at: number): void {
    const subject = subjects.telemetry(this.records.get(name)?.id ?? "", name, kind);
    const { result } = this.last.take(subject, Buffer.from(JSON.stringify(sample)), at);
    assert.ok(result === "taken" || result === "changed", `${kind} is ${result}`);
  }

  sayAll(name: string, at: number): void {
    for (const [kind, sample] of Object.entries(samplesOf(at)))
      this.say(name, kind as TelemetryKind, sample, at);
  }
}

const madeAnew = async (source: FleetSource, now_ms: number) => {
  const families: Family[] = [];
  for await (const family of fleetMetrics(source, now_ms)) families.push(family);
  return expose(families);
};
const textOf = async (text: FleetText, source: FleetSource, now_ms: number) =>
  Buffer.concat(await text.of(source, now_ms)).toString();

/** Numbers from 0 to 1 that are the same in every run (mulberry32). */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Some sample of a kind, another each time: values, rows that come and go, words that must be escaped, what is not there at all. */
function someOf(kind: TelemetryKind, at: number, random: () => number): object {
  const words = ["eth0", 'a "quoted" one', "back\\slash", "two\nlines", "größe ✓", ""];
  const word = () => words[Math.floor(random() * words.length)] ?? "";
  const samples = samplesOf(at);
  const some = <T>(rows: readonly T[], change: (row: T) => object = () => ({})) =>
    rows.filter(() => random() < 0.8).map((row) => ({ ...row, ...change(row) }));
  const fault = { colour: "red", about: null, ref: null, since: null, what: "it is down" };
  const found = { faults: random() < 0.3 ? [fault] : [], present: random() < 0.8 };
  switch (kind) {
    case "health": {
      const { health } = samples;
      const disks = some(health.disks, () => ({
        used_bytes: Math.floor(random() * 1e12),
        mount: `/${word()}`,
      }));
      const interfaces = some(health.interfaces, () => ({ rx_bytes: Math.floor(random() * 1e15) }));
      return {
        ...health,
        cpu_busy: random(),
        disks,
        interfaces,
        clock: random() < 0.5 ? null : health.clock,
      };
    }
    case "bgp": {
      const state = () => (random() < 0.5 ? "established" : "active");
      const sessions = some(samples.bgp.sessions, () => ({
        state: state(),
        flaps: Math.floor(random() * 9),
      }));
      return { ...samples.bgp, sessions };
    }
    case "checks":
      return {
        ...samples.checks,
        checks: some(samples.checks.checks, () => ({ latency_ms: random() < 0.3 ? null : random() * 100 })),
      };
    case "convergence": {
      const managed = random() < 0.3 ? {} : { check: 6 };
      const resources = { total: 34, ok: Math.floor(random() * 34), managed };
      return {
        ...samples.convergence,
        agent_version: word(),
        resources,
        at: at + Math.floor(random() * 9_000),
      };
    }
    case "containers":
      return {
        ...{ ...samples.containers, ...found },
        containers: some(samples.containers.containers, () => ({ image: word(), cpu: random() })),
      };
    default:
      return { ...samples[kind], ...found };
  }
}

suite(
  "the text of /metrics",
  (test) => {
    test("it is the same to the byte as made anew, when samples, records and the clock change", async () => {
      const random = numbers(7);
      const ground = new Ground();
      const text = new FleetText();
      const seen = { up: 0, silent: 0, blind: 0, gone: 0, escaped: 0 };
      let now_ms = NOW;
      let before = "";
      for (let round = 0; round < 80; round++) {
        now_ms += random() < 0.2 ? 0 : Math.floor(random() * 12_000);
        for (const name of NAMES) {
          const record = ground.records.get(name);
          const chance = random();
          if (record === undefined) {
            if (chance < 0.3) ground.enrol(name);
            continue;
          }
          if (chance < 0.03) ground.records.delete(name);
          else if (chance < 0.05) ground.records.set(name, { ...record, state: "retired" });
          else if (chance < 0.08)
            ground.records.set(name, { ...record, os: `Debian ${round}`, state: "enrolled" });
          // Another machine of that name.
          else if (chance < 0.1) ground.enrol(name);
          else if (chance < 0.6)
            for (const kind of TELEMETRY_KINDS)
              if (random() < 0.4) ground.say(name, kind, someOf(kind, now_ms, random), now_ms);
        }
        if (random() < 0.05) ground.last.clockSet(Math.floor(random() * 60_000) - 30_000, now_ms);
        const source = { ...ground.source(), leading: random() < 0.5 };
        const told = await textOf(text, source, now_ms);
        assert.is(told, await madeAnew(source, now_ms), `round ${round}`);
        seen.up += told.match(/^muster_host_up\{.*\} 1$/gm)?.length ?? 0;
        seen.silent += told.match(/^muster_host_up\{.*\} 0$/gm)?.length ?? 0;
        seen.blind += told.match(/^muster_host_collector_blind\{.*\} 1$/gm)?.length ?? 0;
        seen.escaped += told.match(/\\n|\\"|\\\\/g)?.length ?? 0;
        seen.gone += NAMES.filter(
          (name) => before.includes(`"${name}"`) && !told.includes(`"${name}"`),
        ).length;
        before = told;
      }
      for (const [what, count] of Object.entries(seen)) assert.ok(count > 5, `${what}: ${count}`);
    });

    test("what follows from the clock is told when the clock alone goes on", async () => {
      const ground = new Ground();
      for (const name of NAMES) ground.enrol(name);
      for (const name of NAMES) ground.sayAll(name, NOW);
      const text = new FleetText();
      const lines = (told: string, metric: string) =>
        told.match(new RegExp(`^${metric}\\{.*`, "gm"))?.length ?? 0;
      const at = async (ms: number) => {
        const told = await textOf(text, ground.source(), NOW + ms);
        assert.is(told, await madeAnew(ground.source(), NOW + ms));
        return told;
      };
      assert.is(lines(await at(SILENT_AFTER_MS), "muster_bgp_session_up"), 4 * NAMES.length);
      const silent = await at(SILENT_AFTER_MS + 1);
      assert.is(lines(silent, "muster_bgp_session_up"), 0);
      assert.match(silent, /^muster_host_up\{host="core1"\} 0$/m);
      // One kind is told on, so that the others grow blind.
      for (const name of NAMES) ground.say(name, "convergence", samplesOf(NOW).convergence, NOW + 30_000);
      assert.is(lines(await at(30_000), "muster_bgp_session_up"), 4 * NAMES.length);
      const blind = await at(30_001);
      assert.is(lines(blind, "muster_bgp_session_up"), 0);
      assert.match(blind, /^muster_host_collector_blind\{host="core1",kind="bgp"\} 1$/m);
    });

    test("made anew is what changed alone; of a host that went nothing is kept, and nothing at all when nobody asks", async () => {
      const ground = new Ground();
      for (const name of NAMES) ground.enrol(name);
      for (const name of NAMES) ground.sayAll(name, NOW);
      const made: string[] = [];
      const counted = METRICS_OF_A_HOST.map((metric) => ({
        ...metric,
        of(host: Parameters<typeof metric.of>[0]) {
          made.push(`${host.record.name} ${metric.name}`);
          return metric.of(host);
        },
      }));
      const told = async (text: FleetText) => {
        made.length = 0;
        await text.of(ground.source(), NOW);
        return [...made];
      };
      const text = new FleetText(counted);
      const all = METRICS_OF_A_HOST.length * NAMES.length;
      assert.is((await told(text)).length, all);
      const always = (await told(text)).length;
      // By the clock: how old each sample is.
      assert.is(always, 2 * NAMES.length, made.join("\n"));
      ground.say("core1", "bgp", samplesOf(NOW).bgp, NOW);
      const again = (await told(text)).filter((one) => one.startsWith("core1"));
      assert.is(
        again.length,
        METRICS_OF_A_HOST.filter(({ name }) => /_(bgp|rpki|roa|bfd)_/.test(name)).length + 2,
      );
      const record = ground.records.get("core1");
      assert.ok(record !== undefined);
      ground.records.delete("core1");
      assert.is((await told(text)).length, always - 2);
      ground.records.set("core1", record);
      assert.is((await told(text)).length, METRICS_OF_A_HOST.length + always - 2);
      const forgetful = new FleetText(counted, 1);
      await told(forgetful);
      await eventually(async () => {
        await sleep(50);
        assert.is((await told(forgetful)).length, all);
      });
    });

    test("a thousand hosts with all that they tell: less than a second of the processor, and others go in between", async () => {
      const ground = new Ground();
      const names = Array.from({ length: 1_000 }, (_, at) => `h${at}`);
      for (const name of names) ground.enrol(name);
      const samples = samplesOf(NOW);
      // Each an object of its own, as it comes from the wire.
      const values = new Map(names.map((name) => [name, structuredClone<Record<string, object>>(samples)]));
      const sample: FleetSource["last"]["sample"] = (name, kind) => ({
        heard_at: NOW,
        value: values.get(name)?.[kind],
      });
      const source = {
        ...ground.source(),
        last: {
          sample,
          view: (name: string) => ({
            ...{
              record: ground.records.get(name) as HostRecord,
              heard_at: NOW,
              silent: false,
              clock_skew_ms: 0,
            },
            ...samples,
          }),
        },
      };
      const text = new FleetText();
      const counted = async <Made>(make: () => Promise<Made>) => {
        let [asked, turns] = [true, 0];
        const count = () => {
          turns += 1;
          if (asked) setImmediate(count);
        };
        setImmediate(count);
        const before = process.cpuUsage();
        const made = await make();
        const { user, system } = process.cpuUsage(before);
        asked = false;
        return { ms: (user + system) / 1_000, turns, made };
      };
      const took = async () => {
        const { made, ...of } = await counted(() => text.of(source, NOW));
        return { ...of, bytes: made.reduce((sum, { length }) => sum + length, 0) };
      };
      const first = await took();
      assert.ok(first.bytes > 15e6, `${first.bytes} bytes`);
      assert.ok(first.turns > 3, `${first.turns} turns`);
      for (const name of names) {
        const of = values.get(name) ?? {};
        for (const kind of ["health", "bgp", "checks", "convergence"] as const)
          of[kind] = structuredClone(of[kind] ?? {});
      }
      const next = await took();
      const same = await took();
      const told = [first, next, same].map(({ ms }) => `${Math.round(ms)} ms`);
      measured(
        "metrics of 1,000 hosts, processor time",
        `${(first.bytes / 1e6).toFixed(1)} MB: ${told[0]} at first, ${told[1]} when what is told every 10 s is new, ${told[2]} when nothing is`,
      );
      assertWithin(next.ms, 1_000, "the text for Prometheus");
      // As they are made for OTLP, which keeps nothing.
      const anew = await counted(async () => {
        let points = 0;
        for await (const { values } of fleetMetrics(source, NOW)) points += values.length;
        return points;
      });
      assert.ok(anew.made > 200_000, `${anew.made} values`);
      assert.ok(anew.turns > 5, `${anew.turns} turns`);
    });
  },
  { limit_ms: 20_000 },
);

suite("the page of /metrics", (test) => {
  const gate = () => {
    let resolve = () => {};
    const ready = new Promise<void>((open) => (resolve = open));
    return { ready, resolve: () => resolve() };
  };
  const serve = async (signal: AbortSignal, ready: () => Promise<void> = async () => {}) => {
    const made = { times: 0 };
    const metrics = async () => {
      made.times += 1;
      const at = made.times;
      await ready();
      return [Buffer.from("größe 1\n"), Buffer.from(`made ${at}\n`)];
    };
    const port = await serveMetrics("127.0.0.1:0", { metrics, targets: async () => [] }, signal);
    return { made, address: `http://127.0.0.1:${port}/metrics`, port };
  };

  test("it is made once for all who ask at that time and shortly after, then anew", async ({ signal }) => {
    const { ready, resolve } = gate();
    const { made, address } = await serve(signal, () => ready);
    const asked = Array.from({ length: 20 }, async () => (await fetch(address)).text());
    await eventually(() => assert.is(made.times, 1));
    resolve();
    for (const text of await Promise.all(asked)) assert.match(text, /^größe 1\nmade \d\n$/);
    // Who is so late that it is another time has another text.
    assert.ok(made.times < 5, `made ${made.times} times`);
    const head = await fetch(address, { method: "HEAD" });
    assert.is(head.headers.get("content-length"), String(Buffer.byteLength("größe 1\nmade 1\n")));
    assert.is(await head.text(), "");
    const before = made.times;
    await eventually(async () => {
      assert.is(await (await fetch(address)).text(), `größe 1\nmade ${made.times}\n`);
      assert.ok(made.times > before);
    }, 10_000);
  });

  test("who leaves before it is made takes nothing from the others", async ({ signal }) => {
    const { ready, resolve } = gate();
    const { made, address, port } = await serve(signal, () => ready);
    const leaving = request({ host: "127.0.0.1", port, path: "/metrics" }).on("error", () => {});
    leaving.end();
    await eventually(() => assert.is(made.times, 1));
    const staying = fetch(address);
    leaving.destroy();
    resolve();
    assert.is(await (await staying).text(), "größe 1\nmade 1\n");
  });
});
