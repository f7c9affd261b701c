/** Events of a host: what a broker cannot take yet waits, in order, and is told once, marked as late; what the disk cannot take is told as well. */
import { execFile } from "node:child_process";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { openEvents, readEventLog } from "@muster/agent/events";
import { openLog } from "@muster/ports/log";
import { FleetEvent, lateMs, parseJson, STREAMS } from "@muster/protocol";
import * as assert from "uvu/assert";
import { eventsReply } from "../../../packages/controller/src/telemetry/events.ts";
import { temporaryDirectory } from "../../kit/child.ts";
import { eventually } from "../../kit/eventually.ts";
import { makeStream, startFleet, type TestFleet } from "../../kit/fleet.ts";
import { suite } from "../../kit/suite.ts";

const run = promisify(execFile);
const EVENT = STREAMS.find(({ name }) => name === "EVENT");

suite("events of a host", (test) => {
  const life = new AbortController();
  let fleet: TestFleet;
  let place: Awaited<ReturnType<typeof temporaryDirectory>>;
  test.before(async () => {
    fleet = await startFleet();
    place = await temporaryDirectory("events");
  });
  test.after(async () => {
    life.abort();
    await fleet.stop();
    await place.release();
  });

  test("a local file that grew too large makes room for the next, and both are read", async () => {
    const files = { log: join(place.path, "deep", "long.log"), spool: join(place.path, "long.json") };
    const log = openLog({ name: "agent", level: "silent" });
    const events = await openEvents(
      files,
      () => null,
      log,
      Date.now,
      () => false,
    );
    const tell = (what: string) => events.tell({ kind: "drift", severity: "info", what });
    const local = async () => (await readEventLog(files.log, 1_000)).map(({ what }) => what);
    tell("in a directory that was not there");
    await eventually(async () => assert.equal(await local(), ["in a directory that was not there"]), 20_000);
    const line = `${(await readFile(files.log, "utf8")).trim()}\n`;
    await writeFile(files.log, line.repeat(Math.ceil((1024 * 1024) / line.length) + 1));
    tell("in the next");
    await eventually(async () => assert.is((await local()).at(-1), "in the next"), 20_000);
    assert.is((await readFile(files.log, "utf8")).split("\n").length, 2);
    assert.ok((await local()).length > 100, "the one before is read as well");
  });

  test("a broker that has no stream yet loses none", async ({ signal }) => {
    assert.ok(EVENT);
    const setup = await fleet.setup(signal);
    const { bus, id } = await fleet.connect("agent", "core1", signal);
    const log = openLog({ name: "agent", level: "silent" });
    const files = { log: join(place.path, "events.log"), spool: join(place.path, "spool.json") };
    const where = () => ({ bus, id, host: "core1" });
    const events = await openEvents(files, where, log, Date.now, () => false);
    const running = events.run(life.signal);
    await setup.request("$JS.API.STREAM.DELETE.EVENT", new Uint8Array(), { timeout_ms: 5_000 });
    // The first of them ten minutes ago: as after an outage.
    const began = Date.now();
    for (const [what, at] of [
      ["one", began - 600_000],
      ["two", began],
      ["three", began],
    ] as const)
      events.tell({ kind: "drift", severity: "info", what, at });
    // Longer than the first try, which nobody takes.
    await eventually(async () => {
      const spooled = await bus
        .request(`event.${id}.core1.drift`, new Uint8Array(), { timeout_ms: 500 })
        .then(
          () => "taken",
          (error: { code?: string }) => error.code,
        );
      assert.is(spooled, "NO_RESPONDER");
    });
    await makeStream(setup, EVENT);
    await eventually(async () => {
      const { bus: reader } = await fleet.connect("controller", "reader", signal);
      const told: { what: string; late: boolean }[] = [];
      let late_ms = 0;
      for await (const { body, headers } of reader.readAll("EVENT", `event.${id}.>`)) {
        told.push({ what: parseJson(FleetEvent, body, "event").what, late: lateMs(headers) > 0 });
        late_ms = Math.max(late_ms, lateMs(headers));
      }
      const { events: kept } = await eventsReply(reader, { since: null, limit: 10 }, Date.now());
      await reader.close();
      assert.equal(told, [
        { what: "one", late: true },
        { what: "two", late: false },
        { what: "three", late: false },
      ]);
      assert.ok(late_ms >= 600_000, `${late_ms} ms`);
      assert.equal(
        kept.map((event) => event.late_ms),
        [late_ms, undefined, undefined],
      );
    }, 8_000);
    life.abort();
    await running;
  });

  test("a full disk: they are told all the same, wait in memory meanwhile, and go on to disk when it has room", async ({
    signal,
  }) => {
    const disk = join(place.path, "full");
    await mkdir(disk);
    const mounted = await run("mount", ["-t", "tmpfs", "-o", "size=64k", "none", disk]).then(
      () => null,
      (error: Error) => error.message,
    );
    if (mounted !== null) {
      console.log(`the full disk is not tried, no tmpfs can be mounted here: ${mounted}`);
      return;
    }
    const stop = new AbortController();
    try {
      const { bus, id } = await fleet.connect("agent", "core2", signal);
      const files = { log: join(disk, "events.log"), spool: join(disk, "spool.json") };
      let there = false;
      const events = await openEvents(
        files,
        () => (there ? { bus, id, host: "core2" } : null),
        openLog({ name: "agent", level: "silent" }),
        Date.now,
        () => false,
      );
      const running = events.run(stop.signal);
      const tell = (what: string) => events.tell({ kind: "drift", severity: "info", what });
      const local = async () => (await readEventLog(files.log, 1_000)).map(({ what }) => what);
      tell("before");
      await eventually(async () => assert.equal(await local(), ["before"]), 20_000);
      await writeFile(join(disk, "filler"), Buffer.alloc(80_000)).catch(() => undefined);
      // What is left of the last page takes some, and of one of them half.
      const long = Array.from({ length: 12 }, (_, at) => `${at} ${"x".repeat(1_500)}`);
      for (const what of long) tell(what);
      await eventually(async () => {
        const text = await readFile(files.log, "utf8");
        assert.ok(text.length > 0 && !text.endsWith("\n"), "half a line is written");
      }, 20_000);
      there = true;
      tell("with no room");
      const { bus: reader } = await fleet.connect("controller", "reader", signal);
      await eventually(async () => {
        const told: string[] = [];
        for await (const { body } of reader.readAll("EVENT", `event.${id}.>`))
          told.push(parseJson(FleetEvent, body, "event").what);
        assert.equal(told, ["before", ...long, "with no room"]);
      }, 30_000);
      await rm(join(disk, "filler"));
      tell("there is room");
      await eventually(async () => assert.is((await local()).at(-1), "there is room"), 20_000);
      stop.abort();
      await running;
    } finally {
      stop.abort();
      await run("umount", ["-l", disk]);
    }
  });
});
