/**
 * The poll of BGP sessions against a BIRD that misbehaves, that is enormous, and that is real: the sample shows the true state each time, and what
 * changes is told at once.
 */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createBgp } from "@muster/agent/collectors/bgp";
import { collect } from "@muster/agent/collectors/index";
import { createRouting, createRun } from "@muster/agent/ports/index";
import { openLog } from "@muster/ports/log";
import { type BgpSample, Bird, type FleetEvent, subjects } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import { sessionCounts } from "@muster/protocol/telemetry/bgp";
import { SAMPLE_BYTES } from "@muster/protocol/telemetry/index";
import * as assert from "uvu/assert";
import { LastValues } from "../../../../packages/controller/src/telemetry/last.ts";
import { freePort } from "../../../kit/child.ts";
import { transcript } from "../../../kit/fake-bird.ts";
import { measured, slowness } from "../../../kit/figures.ts";
import { suite } from "../../../kit/suite.ts";
import {
  config,
  hostPrefix,
  type Prefix,
  portsBelow,
  startBird,
  startNeighbour,
  UPSTREAM,
  until,
} from "../resources/private-bird.ts";
import { afterwards, good, ROUTER, SPEC, upstream, withFake } from "./fake-router.ts";

/** However long a look takes: the period of looks is a hundred times that, and a minute at the most. */
const LOOKED_AGAIN_MS = 60_700;

/** How many sessions controllers then know of. */
function takenByControllers(body: Buffer): number | undefined {
  const id = `U${"A".repeat(55)}`;
  const last = new LastValues({ byName: () => ({ id }) } as never);
  assert.is(last.take(subjects.telemetry(id, "core1", "bgp"), body, 1_000).result, "taken");
  return (last.sample("core1", "bgp")?.value as BgpSample | undefined)?.sessions.length;
}

function assertBlind(
  polled: { sample: BgpSample | null; events: readonly Omit<FleetEvent, "at">[] },
  words: RegExp,
): void {
  const { sample, events } = polled;
  assert.is(sample?.daemon.reachable, false);
  assert.match(sample?.daemon.error ?? "", words);
  assert.is(upstream(sample)?.verdict, "missing");
  assert.equal(
    events.map(({ severity }) => severity),
    ["error"],
  );
  assert.match(events[0]?.what ?? "", words);
}

suite(
  "bgp collector",
  (test) => {
    test("hung: it accepts and never answers", () =>
      withFake(async (ground) => {
        const polled = await afterwards(ground, (fake) => {
          for (const command of fake.answers.keys()) fake.answers.set(command, "silent");
        });
        assertBlind(polled, /no whole answer within 2000 ms/);
        // One silence is enough to know it: nothing was asked after it.
        assert.is(ground.fake.received.at(-1), "show protocols");
        good(ground.fake);
        ground.pass(700);
        const again = await ground.bgp.poll(ground.signal);
        assert.is(upstream(again.sample)?.verdict, "ok");
        assert.match(again.events.map(({ what }) => what).join("; "), /answers again/);
      }, 2_000));

    test("what bird.conf includes is declared too, and what is included anew at the next look", () =>
      withFake(
        async ({ bgp, path, signal, pass }) => {
          const peers = join(path, "etc/bird/peers");
          mkdirSync(peers);
          const declare = (name: string) =>
            writeFileSync(
              join(peers, `${name}.conf`),
              `protocol bgp ${name} { neighbor 10.9.0.2 as 64496; }`,
            );
          writeFileSync(join(path, "etc/bird/bird.conf"), 'include "peers/*.conf";\n');
          declare("upstream");
          const first = await bgp.sample(signal);
          assert.is(upstream(first)?.verdict, "ok");
          declare("promised");
          pass(60_000);
          const { verdict, why } =
            (await bgp.sample(signal))?.sessions.find(({ name }) => name === "promised") ?? {};
          assert.equal([verdict, why], ["missing", "declared, but BIRD does not have it"]);
          rmSync(join(peers, "upstream.conf"));
          assert.is(upstream(await bgp.sample(signal))?.verdict, "unexpected");
        },
        5_000,
        null,
      ));

    for (const [name, answer, words] of [
      ["garbage", "HTTP/1.1 400 Bad Request\r\n\r\n", /neither a code nor a continuation/],
      ["half a line", { hangUpAfter: "1002-upstr" }, /closed the connection/],
      ["a row without its state", "1002-upstream BGP\n0000 \n", null],
    ] as const)
      test(`${name}: nothing is made up of it`, () =>
        withFake(async (ground) => {
          const polled = await afterwards(ground, (fake) => {
            fake.answers.set("show protocols", answer);
            fake.answers.set("show protocols all", answer);
          });
          assertBlind(polled, words ?? /not a protocol row/);
        }));

    test("restarted: a new socket with another inode is found at the next poll", () =>
      withFake(async (ground) => {
        const polled = await afterwards(ground, async (fake) => {
          await fake.stop();
          rmSync(fake.socketPath, { force: true });
          const text = transcript(ROUTER, "show-protocols-all");
          fake.answers.set(
            "show protocols all",
            text.replace(/BGP state: {10}Established/, "BGP state:          Active"),
          );
          fake.answers.set(
            "show protocols",
            transcript(ROUTER, "show-protocols").replace("22:19:08", "22:29:08"),
          );
          await fake.start();
        });
        assert.is(ground.fake.connections, 2);
        assert.equal([polled.sample?.daemon.reachable, upstream(polled.sample)?.verdict], [true, "down"]);
        assert.match(polled.events.map(({ what }) => what).join("; "), /upstream .*went down/);
      }));

    test("stopped: missing, and since when stays while it lasts", () =>
      withFake(async (ground) => {
        const polled = await afterwards(ground, (fake) => fake.stop());
        assertBlind(polled, /ENOENT|ECONNREFUSED/);
        const since = polled.sample?.daemon.since.at;
        ground.pass(60_000);
        const later = await ground.bgp.poll(ground.signal);
        assert.is(later.sample?.daemon.since.at, since);
        assert.equal(later.events, []);
      }));

    test("what is wrong beside the sessions is told, once, and when it is over", () =>
      withFake(async (ground) => {
        const first = await ground.bgp.poll(ground.signal);
        assert.equal(first.sample?.faults, [
          {
            colour: "amber",
            what: "RPKI away (127.0.0.1 port 18283) is transport-error: it has given no data",
            session: null,
          },
          {
            colour: "amber",
            what: "upstream has reached its import limit of 1 on ipv4: what comes beyond it is dropped",
            session: "upstream",
          },
        ]);
        const all = transcript(ROUTER, "show-protocols-all").replace("limit:   1 [HIT]", "limit:   1");
        const empty = all.replace(
          /(Channel roa6\n(?:.*\n){5} {5}Routes: +)1 imported, 0 exported, 1 pref/,
          "$10 imported, 0 exported, 0 pref",
        );
        assert.is.not(empty, all);
        ground.fake.answers.set("show protocols all", empty);
        ground.pass(LOOKED_AGAIN_MS);
        const later = await ground.bgp.poll(ground.signal);
        assert.equal(
          later.events.map(({ severity, what }) => `${severity}: ${what}`),
          [
            'error: ROA table r6 is empty: a filter on "invalid" lets everything pass, one on "valid" nothing',
            "info: over: upstream has reached its import limit of 1 on ipv4: what comes beyond it is dropped",
          ],
        );
        assert.is(later.sample?.faults[0]?.colour, "red");
        ground.pass(LOOKED_AGAIN_MS);
        assert.equal((await ground.bgp.poll(ground.signal)).events, []);
      }));

    test("while the short table stands still nothing else is asked, and a sample still goes out every ten seconds", () =>
      withFake(async (ground) => {
        await ground.bgp.poll(ground.signal);
        ground.fake.received.length = 0;
        let sent = 0;
        for (let turn = 0; turn < 14; turn += 1) {
          ground.pass(700);
          if ((await ground.bgp.poll(ground.signal)).sample !== null) sent += 1;
        }
        assert.equal([...new Set(ground.fake.received)], ["show protocols"]);
        assert.is(sent, 0);
        ground.pass(700);
        const { sample } = await ground.bgp.poll(ground.signal);
        assert.is(upstream(sample)?.verdict, "ok");
        ground.pass(LOOKED_AGAIN_MS);
        await ground.bgp.poll(ground.signal);
        assert.ok(ground.fake.received.includes("show protocols all"));
      }));

    test("where a look is dear, an expected export that is missing does not wait for the next look", () =>
      withFake(
        async (ground) => {
          const question = "show route 192.0.2.0/24 export upstream";
          ground.fake.answers.set(question, "1007-192.0.2.0/24 unreachable [own 12:00:00] * (200)\n0000 \n");
          const polled = await afterwards(ground, (fake) => {
            fake.answers.set(question, "8001 Network not found\n");
            // The next look is after a hundred times what the last took.
            ground.pass(10_300);
          });
          assert.is(upstream(polled.sample)?.verdict, "not_exported");
          assert.equal(
            polled.events.map(({ severity }) => severity),
            ["error"],
          );
        },
        5_000,
        Bird.parse({ ...SPEC, expect: { upstream: { export: ["192.0.2.0/24"] } } }),
        200,
      ));

    for (const [name, by_ms] of [
      ["forwards", 3_600_000],
      ["backwards", -3_600_000],
    ] as const)
      test(`a clock that is set ${name}: the next sample comes in its time, and says the new one`, () =>
        withFake(async (ground) => {
          const first = await ground.bgp.poll(ground.signal);
          ground.pass(by_ms);
          let after: BgpSample | null = null;
          for (let turn = 0; turn < 16 && after === null; turn += 1) {
            ground.pass(700);
            after = (await ground.bgp.poll(ground.signal)).sample;
          }
          const moved_ms = Date.parse(after?.at ?? "") - Date.parse(first.sample?.at ?? "");
          assert.ok(Math.abs(moved_ms - by_ms) < 15_000, `${after?.at} after ${first.sample?.at}`);
          assert.is(upstream(after)?.verdict, "ok");
        }));

    test("the clock of a machine is set: a real BIRD moves each Since, and no session is said to have flapped", async () => {
      const life = new AbortController();
      const prefix: Prefix = await hostPrefix();
      const port = await freePort();
      const text = config(port, [UPSTREAM]);
      writeFileSync(join(prefix.path, "etc/bird/bird.conf"), text);
      const clock_file = join(prefix.path, "clock");
      let set_s = 0;
      const setClock = (by_s: number) => {
        set_s = by_s;
        writeFileSync(clock_file, `${by_s < 0 ? "" : "+"}${by_s}\n`);
      };
      setClock(0);
      const bird = startBird(prefix.path, {
        LD_PRELOAD: `/usr/lib/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu/faketime/libfaketime.so.1`,
        FAKETIME_TIMESTAMP_FILE: clock_file,
        FAKETIME_NO_CACHE: "1",
        FAKETIME_DONT_FAKE_MONOTONIC: "1",
        NO_FAKE_STAT: "1",
      });
      const neighbour = startNeighbour(prefix.path, port, UPSTREAM);
      const routing = createRouting(
        {
          ...{ socketPath: join(prefix.path, "run/bird.ctl"), binary: "/nonexistent", run: createRun() },
          now: () => Date.now() + set_s * 1_000,
        },
        life.signal,
      );
      const now = async () => {
        const session = upstream(await routing.survey(life.signal));
        return { ...session, since_ms: Date.parse(session?.since.at ?? "") };
      };
      try {
        await until("the session is up", 30_000, async () =>
          (await routing.running(life.signal)) ? (await now()).state === "established" : false,
        );
        const before = await now();
        for (const by_s of [5_400, -1_800]) {
          setClock(by_s);
          const after = await now();
          const moved_ms = after.since_ms - before.since_ms - by_s * 1_000;
          assert.ok(Math.abs(moved_ms) < 1_500, `set by ${by_s} s, its Since is off by ${moved_ms} ms`);
          assert.equal([after.state, after.flaps], ["established", null], `set by ${by_s} s`);
        }
        await neighbour.stop("SIGKILL");
        await until("it has fallen", 30_000, async () => (await now()).flaps === 1);
      } finally {
        life.abort();
        await Promise.all([bird.stop(), neighbour.stop()]);
        await prefix.release();
      }
    });

    test("5,000 sessions: counted whole, what is red is listed, and the controllers take the sample", () =>
      withFake(async (ground) => {
        const text = transcript(ROUTER, "show-protocols-all");
        const begin = text.indexOf("1002-upstream");
        const block = text.slice(begin, text.indexOf("1002-a_session"));
        const many = Array.from({ length: 5_000 }, (_, at) => block.replace("upstream", `peer${at}`));
        many[4_321] = (many[4_321] ?? "").replace(/Established/g, "Active");
        ground.fake.answers.set("show protocols all", `${text.slice(0, begin)}${many.join("")}0000 \n`);
        const { sample } = await ground.bgp.poll(ground.signal);
        if (sample === null) throw new Error("no sample");
        const body = Buffer.from(JSON.stringify(sample));
        assert.ok(body.length <= SAMPLE_BYTES && body.length > SAMPLE_BYTES * 0.9, `${body.length} bytes`);
        assert.is(takenByControllers(body), sample.sessions.length);
        // `upstream` is declared and not among them.
        assert.is(upstream(sample)?.verdict, "missing");
        const { left_out } = sample;
        assert.is(sample.sessions.length + (left_out?.up ?? 0) + (left_out?.other ?? 0), 5_001);
        assert.is(left_out?.red, 0);
        assert.ok((left_out?.up ?? 0) + (left_out?.other ?? 0) > 4_000, "what was trimmed is said");
        assert.equal(sessionCounts(sample), { up: 0, expected: 1 });
        const whole = await ground.bgp.sample(ground.signal);
        assert.is(whole?.sessions.find(({ name }) => name === "peer4321")?.state, "active");
      }, 60_000));

    test("a real session that goes down is told within a second of BIRD knowing", async () => {
      const life = new AbortController();
      const prefix: Prefix = await hostPrefix();
      const port = await freePort();
      const text = config(port, [UPSTREAM]);
      writeFileSync(join(prefix.path, "etc/bird/bird.conf"), text);
      const ports = portsBelow(prefix.path, life.signal);
      const bird = startBird(prefix.path);
      const neighbour = startNeighbour(prefix.path, port, UPSTREAM);
      const bgp = createBgp(ports, () => Bird.parse({ config: text }));
      const told: { at: number; what: string }[] = [];
      const running = collect(
        {
          bgp,
          logs: { run: async () => undefined },
          checks: { last: () => null, look: () => undefined, run: async () => undefined },
          health: { sample: () => Promise.reject(new FleetError("UNSUPPORTED", "not in this test")) },
          steady: [],
          events: { tell: ({ what }) => told.push({ at: Date.now(), what }) },
          log: openLog({ name: "bgp-test", level: "silent" }),
          publish: () => false,
        },
        life.signal,
      );
      try {
        await until("the session is up", 30_000, async () => upstream(bgp.last())?.state === "established");
        const exports = upstream(bgp.last())?.exports;
        assert.equal(exports, [{ prefix: "192.0.2.0/24", exported: true }]);
        await neighbour.stop("SIGKILL");
        await until("it is told", 30_000, async () => told.some(({ what }) => /went down/.test(what)));
        const event = told.find(({ what }) => /went down/.test(what));
        const since = upstream(bgp.last())?.since.at ?? "";
        const late_ms = (event?.at ?? 0) - Date.parse(since);
        measured("a session that went down", `told ${late_ms} ms after BIRD knew`);
        assert.ok(late_ms >= 0 && late_ms <= 1_000 * slowness(), `${late_ms} ms`);
      } finally {
        life.abort();
        await running;
        await bird.stop();
        await prefix.release();
      }
    });
  },
  { limit_ms: 60_000 },
);
