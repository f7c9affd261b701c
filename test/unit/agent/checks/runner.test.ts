/** Checks as the agent runs them: taken from the ledger, red when never up, turned by so many answers in a row, told once, true over a restart. */
import { readFileSync } from "node:fs";
import { type AddressInfo, createServer, type Server } from "node:net";
import { join } from "node:path";
import { type Judged, judge, restOf, turnOf, unasked } from "@muster/agent/checks/judge";
import { createChecks } from "@muster/agent/collectors/checks";
import type { Ports } from "@muster/agent/ports/index";
import { atMost } from "@muster/agent/turns";
import { openLog } from "@muster/ports/log";
import type { FleetEvent } from "@muster/protocol";
import { contentHash } from "@muster/protocol/canonical";
import { Resource } from "@muster/protocol/resources/index";
import type { ChecksSample } from "@muster/protocol/telemetry/checks";
import { checkColour, ChecksSample as Schema } from "@muster/protocol/telemetry/checks";
import * as assert from "uvu/assert";
import { freePort, temporaryDirectory } from "../../../kit/child.ts";
import { eventually } from "../../../kit/eventually.ts";
import { slowness } from "../../../kit/figures.ts";
import { suite } from "../../../kit/suite.ts";

type Door = Parameters<typeof createChecks>[0];

suite("checks of a host", (test) => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  test.before(async () => {
    directory = await temporaryDirectory("checks");
  });
  test.after(() => directory.release());

  /** An agent's part of it, with a ledger that the test writes. */
  function host(name: string) {
    const life = new AbortController();
    const ledger = { state: { resources: {} } };
    const told: Omit<FleetEvent, "at">[] = [];
    const sent: ChecksSample[] = [];
    const file = join(directory.path, `${name}.json`);
    const collector = createChecks({
      ...{ ports: { now: Date.now } as Ports, ledger: ledger as unknown as Door["ledger"], file },
      log: openLog({ name: "checks-test", level: "silent" }),
      tell: (event) => told.push(event),
      bgp: () => null,
      fleetCa: () => "",
    });
    const running = collector.run((sample) => sent.push(Schema.parse(sample)), life.signal);
    const declare = (specs: Readonly<Record<string, object>>) => {
      ledger.state = {
        resources: Object.fromEntries(
          Object.entries(specs).map(([check, spec]) => {
            const resource = Resource.parse({ kind: "check", name: check, spec, needs: [] });
            return [`check/${check}`, { resource, spec_hash: contentHash(resource.spec) }];
          }),
        ),
      };
      collector.look();
    };
    const row = (check: string) => collector.last()?.checks.find((each) => each.name === check);
    const stop = async () => {
      life.abort();
      await running;
    };
    return { collector, declare, told, sent, row, stop, file };
  }

  test("one that is never up is red with the first answer, and told; one that is up is not; the last to go says so", async () => {
    const one = host("never");
    const server = await listening();
    try {
      assert.is(one.collector.last(), null);
      assert.is(one.sent.length, 0);
      const nobody = await freePort("::1");
      const began_ms = Date.now();
      one.declare({ gone: { tcp: `[::1]:${nobody}` }, here: { tcp: `[::1]:${portOf(server)}` } });
      await eventually(
        () => assert.equal([one.row("gone")?.state, one.row("here")?.state], ["down", "up"]),
        15_000,
      );
      assert.ok(Date.now() - began_ms < 15_000 * slowness());
      const gone = one.row("gone");
      assert.is(gone?.up_at, null);
      assert.match(gone?.why ?? "", /ECONNREFUSED/);
      assert.ok((one.row("here")?.latency_ms ?? 0) > 0);
      assert.equal(
        one.told.map(({ kind, severity, ref, what }) => [kind, severity, ref, what.replace(/: .*/, "")]),
        [["check", "error", "check/gone", "check gone is down and was never up"]],
      );
      await eventually(() =>
        assert.is(one.sent.at(-1)?.checks.find(({ name }) => name === "gone")?.state, "down"),
      );
      one.declare({});
      await eventually(() => assert.equal(one.sent.at(-1)?.checks, []));
      assert.is(one.collector.last(), null);
    } finally {
      server.close();
      await one.stop();
    }
  });

  test(
    "a server that stops is down after so many bad answers, and up again after so many good ones; since outlives the agent",
    async () => {
      const server = await listening();
      const port = portOf(server);
      const spec = { web: { tcp: `[::1]:${port}`, every: "1s", timeout: "1s", fall: 2, rise: 1 } };
      const first = host("turns");
      first.declare(spec);
      await eventually(() => assert.is(first.row("web")?.state, "up"), 15_000);
      await new Promise((resolve) => server.close(resolve));
      await eventually(() => assert.match(first.row("web")?.why ?? "", /\(1 of 2\)/), 15_000);
      assert.is(first.row("web")?.state, "up", "one bad answer is no alarm");
      await eventually(() => assert.is(first.row("web")?.state, "down"), 15_000);
      const since = first.row("web")?.since;
      assert.is(first.told.length, 1);
      await eventually(() => assert.match(readFileSync(first.file, "utf8"), /"state":"down"/));
      await first.stop();

      const second = host("turns");
      second.declare(spec);
      try {
        await eventually(() => assert.ok(second.row("web") !== undefined));
        if (second.row("web")?.ran_at === null)
          assert.is(second.row("web")?.state, "blind", "nothing is known yet");
        await eventually(() => assert.is(second.row("web")?.state, "down"), 15_000);
        assert.is(second.row("web")?.since, since);
        assert.equal(second.told, [], "it was told before");
        const again = await listening(port);
        try {
          await eventually(() => assert.is(second.row("web")?.state, "up"), 15_000);
          assert.equal(
            second.told.map(({ severity, what }) => [severity, what]),
            [["info", "check web is up again"]],
          );
        } finally {
          again.close();
        }
      } finally {
        await second.stop();
      }
    },
    { limit_ms: 60_000 },
  );

  test(
    "what never answers is down within its time; many of them hold up nobody for long",
    async () => {
      const one = host("many");
      const stuck = await listening();
      try {
        // Takes the connection and never speaks TLS.
        const specs = Object.fromEntries(
          Array.from({ length: 40 }, (_, at) => [
            `stuck${at}`,
            { tls: `[::1]:${portOf(stuck)}`, timeout: "300ms", verify: false },
          ]),
        );
        const broker = `[::1]:${portOf(stuck)}`;
        const counters = { url: "http://[::1]:1/", sent: "a", received: "b" };
        const probe = { probe: { prefix: "2001:db8::/48", counters, broker }, timeout: "300ms" };
        one.declare({ ...specs, last: { tcp: broker }, probe });
        await eventually(() => {
          const rows = one.collector.last()?.checks ?? [];
          assert.is(rows.filter(({ state }) => state === "down").length, 41);
          assert.is(one.row("last")?.state, "up");
        }, 20_000);
        assert.is(one.row("stuck7")?.why, "no answer within 300ms");
        const reasons = one.row("probe")?.reasons?.map(({ name, ok }) => `${name} ${ok}`);
        assert.equal(
          reasons,
          ["session null", "prefix null", "replies null", "broker false"],
          "what is known is kept",
        );
        assert.match(one.row("probe")?.why ?? "", /^broker: \[::1\]:\d+: no answer in time/);
      } finally {
        stuck.close();
        await one.stop();
      }
    },
    { limit_ms: 30_000 },
  );

  test(
    "more than can be run are counted, and red",
    async () => {
      const one = host("limit");
      try {
        one.declare(
          Object.fromEntries(
            Array.from({ length: 258 }, (_, at) => [`c${at}`, { tcp: "[::1]:1", every: "24h" }]),
          ),
        );
        await eventually(() => assert.is(one.collector.last()?.checks.length, 257), 15_000);
        const more = one.row("+2");
        assert.match(more?.why ?? "", /2 more than 256 .* not run/);
        assert.is(more === undefined ? "" : checkColour(more, Date.now()), "red");
      } finally {
        await one.stop();
      }
    },
    { limit_ms: 30_000 },
  );

  test("blind is red after a while, and a turn to it and back is told", () => {
    const check = { rise: 2, fall: 3 };
    const bad = { ok: false, why: "refused" } as const;
    const new_one = unasked(0);
    assert.is(checkColour(new_one, 14_000), "amber");
    assert.is(checkColour(new_one, 15_000), "red");
    assert.is(checkColour(new_one, -3_600_000), "red", "by a clock that was set back");
    const up = judge(new_one, { ok: true, latency_ms: 1 }, check, 1_000);
    assert.is(turnOf("x", new_one, up), null, "one that is new and well is no event");
    const once = judge(up, bad, check, 2_000);
    const mended = judge(once, { ok: true, latency_ms: 1 }, check, 3_000);
    assert.equal([once.state, once.why, mended.turning, mended.why], ["up", "refused (1 of 3)", null, ""]);
    let now = up;
    for (const at of [2, 3, 4]) now = judge(now, { ok: null, why: "no ping here" }, check, at * 1_000);
    assert.equal([now.state, now.since, now.up_at], ["blind", 4_000, 1_000]);
    assert.is(turnOf("x", up, now)?.what, "check x cannot be told any more: no ping here");
    assert.is(turnOf("x", now, judge(now, bad, check, 5_000))?.what, "check x is down: refused");
    const down = judge(judge(judge(up, bad, check, 1), bad, check, 2), bad, check, 3);
    const rising = judge(down, { ok: true, latency_ms: 1 }, check, 4);
    assert.equal(
      [down.state, rising.state, rising.why],
      ["down", "down", "refused"],
      "one good answer is no rise",
    );
    const risen = judge(rising, { ok: true, latency_ms: 1 }, check, 5);
    assert.equal([risen.state, turnOf("x", rising, risen)?.what], ["up", "check x is up again"]);
    // Bad and blind by turns are no row of either.
    let mixed = up;
    for (let at = 0; at < 6; at += 1)
      mixed = judge(mixed, at % 2 === 0 ? bad : { ok: null, why: "?" }, check, 2_000 + at);
    assert.is(mixed.state, "up");
    const rests = (judged: Judged, is_program = false) =>
      [600_000, 10_000, 1_000].map((every_ms) => restOf(judged, every_ms, is_program));
    assert.equal(rests(up), [600_000, 10_000, 1_000]);
    for (const one of [once, rising])
      assert.equal(rests(one), [5_000, 5_000, 1_000], "a turn is in question");
    for (const one of [down, now]) {
      assert.equal(rests(one), [15_000, 10_000, 1_000], "it is not up");
      assert.equal(rests(one, true), [600_000, 10_000, 1_000], "a process is started as often as was said");
    }
    assert.equal(rests(once, true), [5_000, 5_000, 1_000], "a turn is in question, which ends");
  });

  test("so many at a time, in their order", async () => {
    const turn = atMost(2);
    let running = 0;
    let most = 0;
    const done: number[] = [];
    await Promise.all(
      [1, 2, 3, 4, 5].map((each) =>
        turn(async () => {
          running += 1;
          most = Math.max(most, running);
          await new Promise((resolve) => setImmediate(resolve));
          running -= 1;
          done.push(each);
        }),
      ),
    );
    assert.is(most, 2);
    assert.equal(done, [1, 2, 3, 4, 5]);
  });
});

async function listening(port = 0): Promise<Server> {
  const server = createServer((socket) => socket.on("error", () => undefined));
  await new Promise<void>((resolve) => server.listen(port, "::1", resolve));
  return server;
}
const portOf = (server: Server) => (server.address() as AddressInfo).port;
