/** A host's numbers over time: what a broker cannot take yet waits on disk, goes in order when it can, marked as late, and is no last value. */
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { History, messagesOf } from "@muster/agent/history";
import { Spool } from "@muster/agent/spool";
import { openLog } from "@muster/ports/log";
import {
  type Health,
  HistoryMessage,
  LATE_HEADER,
  parseJson,
  patterns,
  pointsOf,
  subjects,
} from "@muster/protocol";
import * as assert from "uvu/assert";
import { temporaryDirectory } from "../../kit/child.ts";
import { eventually } from "../../kit/eventually.ts";
import { startFleet, type TestFleet } from "../../kit/fleet.ts";
import { suite } from "../../kit/suite.ts";

const LIMITS = { bytes: 1_000, age_ms: 60_000, segment_bytes: 250 };
const HEALTH: Health = {
  ...{ at: 1, uptime_s: 86_400, load: [0.2, 0.3, 0.4], cpu_busy: 0.2, cores: 2, failed_units: [] },
  memory: { total_bytes: 4e9, available_bytes: 3e9, swap_used_bytes: 0 },
  disks: [{ mount: "/", size_bytes: 1e10, used_bytes: 4e9 }],
  interfaces: [{ name: "eth0", rx_bytes: 1_000, tx_bytes: 2_000, up: true }],
  agent: { rss_bytes: 7e7, cpu_s: 12, uptime_s: 3_600 },
};
const line = (at: number) => JSON.stringify({ at, text: "x".repeat(80) });

suite("the spool of a host", (test) => {
  let place: Awaited<ReturnType<typeof temporaryDirectory>>;
  let serial = 0;
  const directory = () => join(place.path, String(serial++));
  test.before(async () => {
    place = await temporaryDirectory("spool");
  });
  test.after(() => place.release());

  const all = async (spool: Spool) => {
    const lines: number[] = [];
    for (const segment of spool.waiting)
      for (const each of await spool.read(segment)) lines.push(JSON.parse(each).at);
    return lines;
  };

  test("hands out what it was given, whole and in order, also after a restart", async () => {
    const where = directory();
    const spool = await Spool.open(where, LIMITS);
    for (let at = 1; at <= 4; at++) await spool.append(line(at), at);
    assert.equal(await all(spool), [1, 2], "a segment that is being written to is not handed out");
    assert.is(spool.open_since, 3);
    const [first] = spool.waiting;
    assert.ok(first);
    await spool.drop(first);
    const again = await Spool.open(where, LIMITS);
    assert.equal(await all(again), [3, 4]);
    // The clock was set back meanwhile: what came later is still later.
    await again.append(line(5), 0);
    again.close();
    assert.equal(await all(await Spool.open(where, LIMITS)), [3, 4, 5]);
  });

  test("never holds more than its bytes, nor what is too old; the oldest goes, and that is told", async () => {
    const spool = await Spool.open(directory(), LIMITS);
    for (let at = 1; at <= 40; at++) await spool.append(line(at), at);
    spool.close();
    const kept = await all(spool);
    assert.is(kept.at(-1), 40);
    assert.ok(kept.length * line(10).length <= LIMITS.bytes && kept.length >= 5, `${kept.length} lines`);
    assert.equal(
      kept,
      kept.toSorted((one, other) => one - other),
    );
    assert.ok(spool.takeLost() > 0);
    assert.is(spool.takeLost(), 0);
    await spool.append(line(1), 40 + LIMITS.age_ms + 1);
    assert.equal(await all(spool), []);
  });

  test("half a line, as a crash leaves it, is left out; what is no segment is left alone", async () => {
    const where = directory();
    const spool = await Spool.open(where, LIMITS);
    await spool.append(line(1), 1);
    const [name = ""] = await readdir(where);
    await writeFile(join(where, name), `${line(1)}\n{"at":2,"te`);
    await writeFile(join(where, "notes.txt"), "mine");
    assert.equal(await all(await Spool.open(where, LIMITS)), [1]);
  });

  test("a place that takes nothing is an error with its words, and works again by itself", async () => {
    const where = directory();
    await writeFile(where, "a file");
    const spool = Spool.empty(where, LIMITS);
    let said = "";
    await spool.append(line(1), 1).catch((error: Error) => {
      said = error.message;
    });
    assert.match(said, /EEXIST|ENOTDIR/);
    assert.is(spool.open_since, null);
  });
});

suite(
  "a host's numbers over time",
  (test) => {
    const life = new AbortController();
    let fleet: TestFleet;
    let place: Awaited<ReturnType<typeof temporaryDirectory>>;
    const log = openLog({ name: "agent", level: "silent" });
    /** A minute is 30 ms here, so that ten are a third of a second. */
    const times = { line_ms: 30, send_ms: 150, pace: 0 };
    /** No two points of one instant: of those one would be kept. */
    let clock = 0;
    const now = () => {
      clock = Math.max(clock + 1, Date.now());
      return clock;
    };
    test.before(async () => {
      fleet = await startFleet();
      place = await temporaryDirectory("history");
    });
    test.after(async () => {
      life.abort();
      await fleet.stop();
      await place.release();
    });

    const stored = async (id: string, signal: AbortSignal) => {
      const { bus } = await fleet.connect("controller", "reader", signal);
      const found: { late: boolean; at: number[]; load: (number | null)[] }[] = [];
      for await (const message of bus.readAll("HISTORY", patterns.history(id))) {
        const track = parseJson(HistoryMessage, message.body, "history").tracks.health;
        if (track === undefined) continue;
        const points = pointsOf(track);
        const late = LATE_HEADER in message.headers;
        found.push({
          late,
          at: points.map(({ at }) => at),
          load: points.map(({ numbers }) => numbers.load1 ?? null),
        });
      }
      await bus.close();
      return found;
    };

    test("an outage of ten of its minutes loses nothing: all of it comes, in order, once, and is late", async ({
      signal,
    }) => {
      const { bus, id } = await fleet.connect("agent", "core1", life.signal);
      const where = () => ({ bus, id, host: "core1" });
      const directory = join(place.path, "outage");
      const history = await History.open(directory, log, now, { times });
      const ends = new AbortController();
      const running = history.run(where, ends.signal);
      let count = 0;
      const take = () => history.take("health", { ...HEALTH, at: Date.now(), load: [++count, 0, 0] });
      const work = setInterval(take, 8);
      await eventually(
        async () => assert.ok((await stored(id, signal)).length > 0, "nothing is stored"),
        8_000,
      );
      // What stands as the last value while the past comes after it.
      bus.publish(subjects.telemetry(id, "core1", "health"), Buffer.from(JSON.stringify({ now: true })));
      await bus.roundTrip();
      await fleet.server.halt();
      const down_at = count;
      const down_ms = Date.now();
      await sleep(10 * times.line_ms + times.send_ms);
      await eventually(() => assert.ok(count > down_at + 20, `${count - down_at} samples`), 8_000);
      // Half of the outage is over when the agent starts anew.
      clearInterval(work);
      ends.abort();
      await running;
      const again = await History.open(directory, log, now, { times });
      const rest = new AbortController();
      const going = again.run(where, rest.signal);
      const more = setInterval(
        () => again.take("health", { ...HEALTH, at: Date.now(), load: [++count, 0, 0] }),
        8,
      );
      await sleep(3 * times.line_ms);
      await fleet.server.start();
      const up_ms = Date.now();
      await eventually(async () => {
        const told = await stored(id, signal);
        assert.ok((told.at(-1)?.at.at(-1) ?? 0) > up_ms, `${told.length} messages, none of after the outage`);
      }, 20_000);
      clearInterval(more);
      rest.abort();
      await going;
      const told = await stored(id, signal);
      const loads = told.flatMap(({ load }) => load);
      const last = loads.at(-1) ?? 0;
      assert.equal(
        loads,
        Array.from({ length: last }, (_, at) => at + 1),
        "in order, each once",
      );
      const late = told.filter((each) => each.late).flatMap(({ at }) => at);
      assert.ok(
        late.some((at) => at > down_ms && at < up_ms),
        "nothing of the outage is marked as late",
      );
      assert.not.ok(told[0]?.late, "what came in time is not late");
      const { bus: reader } = await fleet.connect("controller", "reader", signal);
      const newest = await reader.directGet("TELEMETRY", subjects.telemetry(id, "core1", "health"));
      assert.is(Buffer.from(newest?.body ?? "").toString(), '{"now":true}');
      for await (const message of reader.readAll("TELEMETRY", "telemetry.>"))
        assert.is(
          message.subject,
          subjects.telemetry(id, "core1", "health"),
          "a late one stands as a last value",
        );
    });

    test("an account that does not know of it yet: it waits, bounded, and nothing else suffers", async ({
      signal,
    }) => {
      // Under another name than its credential says: the broker refuses the subject.
      const { bus, id } = await fleet.connect("agent", "ixp1", life.signal);
      const directory = join(place.path, "refused");
      const limits = { bytes: 4_000, age_ms: 60_000, segment_bytes: 1_000 };
      const history = await History.open(directory, log, now, { times, limits });
      const ends = new AbortController();
      const running = history.run(() => ({ bus, id, host: "other" }), ends.signal);
      const work = setInterval(() => history.take("health", { ...HEALTH, at: Date.now() }), 8);
      await eventually(async () => assert.ok((await readdir(directory)).length > 0), 10_000);
      await sleep(600);
      clearInterval(work);
      ends.abort();
      await running;
      assert.ok(bus.connected);
      assert.equal(await stored(id, signal), []);
      const spool = await Spool.open(directory, limits);
      const bytes = spool.waiting.reduce((sum, each) => sum + each.bytes, 0);
      assert.ok(bytes > 0 && bytes <= limits.bytes, `${bytes} bytes`);
    });

    test("what stood still is one value, and names stand once", () => {
      const lines = [1, 2, 3].map((at) =>
        JSON.stringify({
          tracks: {
            bgp: { at: [at * 10, at * 10 + 5], series: { imported: [at, at + 1], "imported upstream": [7] } },
            "of a newer agent": { at: [1], series: {} },
          },
        }),
      );
      const [only, ...none] = messagesOf([...lines, "{half a li"], "test").map((body) =>
        JSON.parse(String(body)),
      );
      assert.equal(none, []);
      assert.equal(only, {
        tracks: {
          bgp: {
            at: [10, 15, 20, 25, 30, 35],
            series: { imported: [1, 2, 2, 3, 3, 4], "imported upstream": [7] },
          },
        },
      });
      assert.equal(messagesOf(["nothing"], "test"), []);
    });

    test("what does not fit into one message goes in several, in order", () => {
      const names = Array.from({ length: 20 }, (_, at) => `imported s${at}`);
      // Each stands still for its line, and no two lines are alike: together they are larger than apart.
      const lines = [1, 2, 3, 4, 5, 6].map((minute) => {
        const at = [1, 2, 3].map((each) => minute * 10 + each);
        const series = Object.fromEntries(names.map((name) => [name, [minute * 1_000]]));
        return JSON.stringify({ tracks: { bgp: { at, series } } });
      });
      const limit = 1_200;
      const bodies = messagesOf(lines, "test", limit);
      assert.ok(bodies.length > 1 && bodies.every(({ length }) => length <= limit), `${bodies.length}`);
      const at = bodies.flatMap((body) => JSON.parse(String(body)).tracks.bgp.at as number[]);
      assert.equal(
        at,
        lines.flatMap((_, minute) => [1, 2, 3].map((each) => (minute + 1) * 10 + each)),
      );
      assert.equal(messagesOf([lines[0] ?? ""], "test", 100), []);
    });
  },
  { limit_ms: 40_000 },
);
