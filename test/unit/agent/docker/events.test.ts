/** The engine's event stream as the real one cannot be made to show it: half a line, no sense, a memory that ran out, a break in between. */
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { containerEvents } from "@muster/agent/collectors/container-events";
import { containerFault } from "@muster/agent/collectors/container-judge";
import { seenOf } from "@muster/agent/collectors/container-rows";
import { ContainerEndings } from "@muster/agent/ports/docker-ends";
import { createDocker } from "@muster/agent/ports/index";
import { type ContainerRow, ContainersSample } from "@muster/protocol/telemetry/containers";
import * as assert from "uvu/assert";
import { eventually } from "../../../kit/eventually.ts";
import { suite } from "../../../kit/suite.ts";

const T0 = 1_790_000_000_000;
const event = (Action: string, at_ms: number, attributes: object = {}, ID = "c1") => ({
  ...{ Type: "container", Action, time: Math.floor(at_ms / 1_000), timeNano: at_ms * 1e6 },
  Actor: { ID, Attributes: { name: "web", ...attributes } },
});

suite("how containers ended", (test) => {
  const endings = (...events: object[]) => {
    const kept = new ContainerEndings();
    for (const each of events) kept.heard(each);
    return kept;
  };

  test("its code, whether by an order, and the same event twice is one end", () => {
    const fell = event("die", T0, { exitCode: "3" });
    const stopped = [
      event("kill", T0 + 9_000, { signal: "15" }),
      event("die", T0 + 9_500, { exitCode: "143" }),
    ];
    const told = endings(event("start", T0 - 1_000), fell, fell, event("start", T0 + 200), ...stopped).of(
      "c1",
    );
    assert.equal([told?.at, told?.code, told?.falls], [T0 + 9_500, 143, [T0]]);
    // A signal that tells it to read its files is no order to end.
    const reloaded = endings(event("kill", T0, { signal: "1" }), event("die", T0 + 1, { exitCode: "1" })).of(
      "c1",
    );
    assert.equal(reloaded?.falls, [T0 + 1]);
    assert.is(endings(fell, event("destroy", T0 + 1)).of("c1"), null);
    assert.is(endings(event("die", T0, { exitCode: "what" })).of("c1")?.code, null);
    assert.is(
      endings({ Type: "container", Action: "die", Actor: { ID: "c1" } }).of("c1"),
      null,
      "without a time",
    );
  });

  test("for want of memory: before its end or just after it, or a process of it alone", () => {
    const oom = (at: number) => event("oom", at);
    const die = (at: number) => event("die", at, { exitCode: "137" });
    assert.is(endings(oom(T0), die(T0 + 50)).of("c1")?.oom_killed, true);
    assert.is(endings(die(T0), oom(T0 + 50)).of("c1")?.oom_killed, true);
    const worker = endings(oom(T0), die(T0 + 3_600_000)).of("c1");
    assert.equal([worker?.oom_killed, worker?.oom_at], [false, T0]);
  });

  test("bounded: of more containers those that ended longest ago are forgotten, of one those longest ago", () => {
    const kept = new ContainerEndings();
    for (let at = 0; at < 1_100; at++) kept.heard(event("die", T0 + at, { exitCode: "1" }, `c${at}`));
    assert.equal([kept.of("c99"), kept.of("c100")?.code], [null, 1]);
    for (let at = 0; at < 1_000; at++) kept.heard(event("die", T0 + 2_000 + at, { exitCode: "1" }));
    assert.is(kept.of("c1")?.falls.length, 10);
  });

  test("told in sentences: once each, with the code, and a process that was killed while it stays", () => {
    const row = (more: Partial<ContainerRow>): ContainerRow => ({
      ...{
        name: "web",
        declared: false,
        state: "running",
        since: T0,
        image: null,
        image_id: null,
        health: null,
      },
      ...{ exit_code: null, restarts: 0, oom_killed: false, ended_at: null, ended_with: null, oom_at: null },
      ...{ cpu: null, memory_bytes: null, memory_limit_bytes: null, rx_bytes: null, tx_bytes: null },
      ...{ verdict: "ok", ...more },
    });
    const sample = (more: Partial<ContainerRow>) =>
      ContainersSample.parse({
        ...{ at: T0, present: true, faults: [], engine: { reachable: true, error: null }, left_out: 0 },
        containers: [row(more)],
      });
    const told = (was: Partial<ContainerRow>, now: Partial<ContainerRow>) =>
      containerEvents(sample(was), sample(now)).map(({ what, severity }) => `${severity} ${what}`);
    const end = { ended_at: T0, ended_with: 3 };
    assert.equal(told({}, { ...end, restarts: 1 }), [
      "warning container web ended with 3, and Docker restarts it",
    ]);
    assert.equal(told({ restarts: 1 }, { ...end, restarts: 4, oom_killed: true }), [
      "warning container web ended 3 times, at last with 3, out of memory, and Docker restarts it",
    ]);
    assert.equal(told({ verdict: "restarting", restarts: 4 }, { ...end, restarts: 5 }), []);
    assert.equal(told({}, end), ["warning container web ended with 3, and runs again"]);
    assert.equal(told(end, end), []);
    const nobody = { ...sample({}), containers: [] };
    const first = (ended_at: number, now: object) =>
      containerEvents(nobody, sample({ ...end, ended_at, ...now })).map(({ what }) => what);
    // It came, fell and came back between two looks.
    assert.equal(first(T0, { restarts: 1 }), ["container web ended with 3, and Docker restarts it"]);
    assert.equal(first(T0, { state: "exited", exit_code: 3 }), ["container web ended with 3"]);
    assert.equal(first(T0 - 1, { state: "exited", exit_code: 3 }), [], "an end before we looked is no news");
    assert.equal(told({}, { declared: true, oom_at: T0 }), [
      "warning the kernel killed a process in container web for want of memory",
    ]);
    assert.equal(told({}, { ...end, state: "exited", exit_code: 3 }), ["warning container web ended with 3"]);
    assert.match(
      containerFault(row({ ...end, declared: true, verdict: "restarting" }))?.what ?? "",
      "container web ends again and again with 3; Docker restarts it",
    );
  });

  test("what the engine says of one that runs again is not taken for how it ended", () => {
    const facts = (more: object) =>
      ({
        status: "running",
        exit_code: 0,
        oom_killed: false,
        restarts: 1,
        started_ms: T0 + 100,
        ...more,
      }) as never;
    const told = endings(event("die", T0 + 20, { exitCode: "3" })).of("c1");
    const seen = seenOf(facts({ finished_ms: T0 }), told, T0 + 500);
    assert.equal([seen.exit_code, seen.ended_with, seen.ended_at], [null, 3, T0]);
    assert.is(seenOf(facts({ finished_ms: T0 }), null, T0 + 500).ended_with, null, "unknown is not 0");
    // What is remembered is of an end before the last.
    assert.is(seenOf(facts({ finished_ms: T0 + 60_000 }), told, T0 + 60_500).ended_with, null);
  });
});

suite("the engine's event stream", (test) => {
  test("half a line and nonsense are got over; after a break it goes on from where it was; one connection for all", async () => {
    const directory = await mkdtemp(join(tmpdir(), "muster-events-"));
    const asked: URL[] = [];
    const streams: ServerResponse[] = [];
    const server = createServer((request, response) => {
      asked.push(new URL(request.url ?? "", "http://engine"));
      response.writeHead(200, { "content-type": "application/json" });
      response.flushHeaders();
      streams.push(response);
    });
    const socket = join(directory, "engine.sock");
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    const life = new AbortController();
    const docker = createDocker(socket, 500);
    const heard: (string | null)[] = [];
    let rung = 0;
    try {
      docker.watch((id) => heard.push(id), life.signal);
      docker.follow(new Set(["web"]), () => rung++, life.signal);
      await eventually(() => assert.ok(docker.hears()), 20_000);
      const began_s = Number(asked[0]?.searchParams.get("since"));
      assert.ok(Math.abs(Date.now() / 1_000 - 3_600 - began_s) < 60, `asks for an hour back: ${began_s}`);
      const line = JSON.stringify(event("die", T0, { exitCode: "3", note: "naïve" }));
      const bytes = Buffer.from(`${line}\n`);
      const half = bytes.indexOf(0xc3) + 1;
      streams[0]?.write(bytes.subarray(0, half));
      await new Promise((resolve) => setTimeout(resolve, 30));
      assert.equal([heard, rung], [[], 0]);
      streams[0]?.write(bytes.subarray(half));
      await eventually(() => assert.equal([heard, rung], [["c1"], 1]), 20_000);
      assert.is(docker.ends("c1")?.code, 3);
      streams[0]?.write(`${JSON.stringify(event("exec_start: true", T0, {}))}\n{"what": \nnull\n`);
      await eventually(() => assert.equal([heard, rung], [["c1", null, null], 3]), 20_000);
      // A line without an end is cut, not gathered.
      streams[0]?.write(`"${"x".repeat(300_000)}\n`);
      await eventually(() => assert.is(heard.length, 4), 20_000);

      streams[0]?.destroy();
      await eventually(() => assert.is(docker.hears(), false), 20_000);
      await eventually(() => assert.ok(docker.hears()), 30_000);
      assert.equal([asked.length, asked[1]?.searchParams.get("since")], [2, `${T0 / 1_000 - 1}.000`]);
      await eventually(() => assert.equal(heard.slice(4), [null, null], "it broke off, it is back"), 20_000);
    } finally {
      life.abort();
      await eventually(() => assert.is(docker.hears(), false), 20_000);
      server.closeAllConnections();
      server.close();
      await rm(directory, { recursive: true });
    }
  });
});
