/**
 * Whether a measuring host measures: each of the four reasons against a real BIRD with a real neighbour, a real exporter of counters and a broker's port; and the
 * hour's window by its numbers.
 */
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo, createServer as createTcp, type Server } from "node:net";
import { join } from "node:path";
import { CounterWindow, counterIn } from "@muster/agent/checks/counters";
import { acceptedOf, probe, repliesOf, sessionOf } from "@muster/agent/checks/probe";
import { createBgp } from "@muster/agent/collectors/bgp";
import { Bird } from "@muster/protocol";
import { Check, type PROBE_REASONS, type Probe } from "@muster/protocol/resources/check";
import * as assert from "uvu/assert";
import { freePort } from "../../../kit/child.ts";
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

const MIN = 60_000;
const PREFIX = "192.0.2.0/24";
const counters = {
  url: "http://[::1]:1/metrics",
  sent: "sent_total",
  received: "replies_total",
  accepted: "taken_total",
};
const specOf = (more: object = {}) =>
  Check.parse({ probe: { prefix: PREFIX, counters, sent_min: 1_000, replies_min: 0.01, ...more } })
    .probe as Probe;

suite("a measuring host", (test) => {
  test("counters: the sum of the series that have the labels; names that only begin so are others", () => {
    const text = [
      "# TYPE sent_total counter",
      'sent_total{instance="anycast",family="6"} 100',
      'sent_total{family="4",instance="anycast"} 11 1700000000000',
      'sent_total{instance="uni\\"cast"} 5e3',
      "sent_total_created 77",
      "replies_total 3",
      "broken_total NaN",
    ].join("\n");
    assert.is(counterIn(text, "sent_total"), 5_111);
    assert.is(counterIn(text, 'sent_total{instance="anycast"}'), 111);
    assert.is(counterIn(text, 'sent_total{instance="anycast",family="4"}'), 11);
    assert.is(counterIn(text, "replies_total"), 3);
    for (const none of ["sent", "total", "broken_total", 'replies_total{a="b"}'])
      assert.is(counterIn(text, none), null, none);
  });

  test("replies over an hour: sending into nothing is red, a quiet while is blind and not green, a restart is no loss", () => {
    const spec = specOf();
    const window = new CounterWindow(60 * MIN);
    let [sent, received, at] = [0, 0, 0];
    const pass = (minutes: number, probes: number, replies: number) => {
      for (let minute = 0; minute < minutes; minute += 1) {
        [sent, received, at] = [sent + probes, received + replies, at + MIN];
        window.add(at, { sent, received, accepted: received });
      }
      return repliesOf(spec, window, { sent, received, accepted: received });
    };
    assert.equal(pass(1, 100, 5), { ok: null, why: "0 probes sent in 0 s: too few to tell (1000)" });
    assert.is(pass(30, 100, 5).ok, true);
    // Half an hour without a reply is a burst's pause; an hour is not.
    assert.is(pass(30, 100, 0).ok, true);
    const dead = pass(31, 100, 0);
    assert.equal(dead, { ok: false, why: "0 replies to 6000 probes in 60 min, 0.01 of each asked for" });
    // The daemon begins anew: its counters fall, and what they counted before still counts.
    [sent, received] = [0, 0];
    assert.is(pass(1, 100, 100).why, "100 replies to 6000 probes in 60 min");
    assert.is(pass(61, 1, 1).ok, null, "61 probes in an hour tell nothing");
    // A clock that is set back.
    at = MIN;
    assert.is(pass(1, 100, 100).ok, null);
  });

  test("until half a window is seen, what was counted since the daemon's start stands in for it", () => {
    const window = new CounterWindow(60 * MIN);
    const since_start = { sent: 700_000_000, received: 30, accepted: null };
    window.add(0, since_start);
    assert.equal(repliesOf(specOf(), window, since_start), {
      ok: false,
      why: "30 replies to 700000000 probes since its start, 0.01 of each asked for",
    });
  });

  test("a broker that takes none of what comes back is red, also while the hour still looks well", () => {
    const spec = specOf();
    const window = new CounterWindow(60 * MIN);
    const none = { sent: 0, received: 0, accepted: 0 };
    assert.is(acceptedOf(spec, window, none).ok, null);
    assert.is(
      acceptedOf(spec, window, { ...none, received: 50 }).why,
      "took none of 50 replies since its start",
    );
    assert.is(
      acceptedOf(spec, window, { ...none, received: 50, accepted: 49 }).why,
      "took 49 since its start",
    );
    for (let minute = 0; minute <= 30; minute += 1)
      window.add(minute * MIN, {
        sent: minute * 100,
        received: minute * 10,
        accepted: Math.min(minute, 15) * 10,
      });
    assert.equal(acceptedOf(spec, window, none), { ok: false, why: "took none of 100 replies in 10 min" });
    window.add(31 * MIN, { sent: 3_100, received: 310, accepted: 151 });
    assert.is(acceptedOf(spec, window, none).ok, true);
  });

  test("a window of a day keeps few readings, and its ends", () => {
    const window = new CounterWindow(24 * 60 * MIN);
    for (let at = 0; at <= 48 * 120; at += 1)
      window.add(at * 30_000, { sent: at * 10, received: at, accepted: null });
    const rise = window.over(24 * 60 * MIN);
    assert.ok(Math.abs(rise.sent - 28_800) < 400, `${rise.sent}`);
    assert.ok(rise.over_ms >= 24 * 60 * MIN);
  });

  test(
    "the four reasons in one row, on a real BIRD: one after the other holds, and fails again",
    async () => {
      const life = new AbortController();
      const host: Prefix = await hostPrefix();
      const port = await freePort();
      const text = config(port, [UPSTREAM]);
      writeFileSync(join(host.path, "etc/bird/bird.conf"), text);
      const ports = portsBelow(host.path, life.signal);
      const bird = startBird(host.path);
      const neighbour = startNeighbour(host.path, port, UPSTREAM);
      const bgp = createBgp(ports, () => Bird.parse({ config: text }));
      let counted = "";
      const exporter = createServer((_, response) => response.end(counted));
      const broker = createTcp((socket) =>
        socket.on("data", (question) => {
          const answer = Buffer.alloc(14);
          answer.writeInt32BE(10);
          question.copy(answer, 4, 8, 12);
          socket.end(answer);
        }),
      );
      try {
        const [metrics_port, broker_port] = await Promise.all([exporter, broker].map(listen));
        const url = `http://[::1]:${metrics_port}/metrics`;
        const check = Check.parse({
          probe: {
            ...{ prefix: PREFIX, sessions: ["upstream"], broker: `[::1]:${broker_port}` },
            counters: { url, sent: "sent_total", received: "replies_total" },
          },
        });
        assert.equal(sessionOf(check.probe as Probe, bgp.last()).ok, null, "not asked yet is not known");
        await until("the session is up", 30_000, async () => {
          await bgp.poll(life.signal);
          return (
            bgp.last()?.sessions.some(({ name, state }) => name === "upstream" && state === "established") ??
            false
          );
        });
        const ask = async (given = check) => {
          const answer = await probe(given, { ports, bgp: () => bgp.last(), fleetCa: () => "" })(
            AbortSignal.timeout(5_000),
          );
          const told = new Map((answer.reasons ?? []).map(({ name, ok, why }) => [name, `${ok} ${why}`]));
          const reason = (name: (typeof PROBE_REASONS)[number]) => told.get(name) ?? "";
          return {
            ok: answer.ok,
            ...{ session: reason("session"), prefix: reason("prefix") },
            ...{ replies: reason("replies"), broker: reason("broker") },
          };
        };
        counted = "up 1\n";
        assert.equal(await ask(), {
          ok: null,
          session: "true upstream up",
          prefix: "true sent to upstream",
          replies: "null no sent_total among the counters",
          broker: `true [::1]:${broker_port} answers`,
        });
        counted = "sent_total 5000\nreplies_total 100\n";
        assert.is((await ask()).ok, true);
        counted = "sent_total 700000000\nreplies_total 30\n";
        assert.match((await ask()).replies, /^false 30 replies to 700000000 probes since its start/);
        counted = "sent_total 5000\nreplies_total 100\n";
        const other = Check.parse({ ...check, probe: { ...check.probe, prefix: "198.51.100.0/24" } });
        assert.match((await ask(other)).prefix, /^false 198\.51\.100\.0\/24 is not sent to upstream/);
        broker.close();
        assert.match((await ask()).broker, /^false \[::1\]:\d+: connect ECONNREFUSED/);
        await neighbour.stop("SIGKILL");
        await until("the session is down", 30_000, async () => {
          await bgp.poll(life.signal);
          return (
            bgp.last()?.sessions.some(({ name, state }) => name === "upstream" && state !== "established") ??
            false
          );
        });
        const dead = await ask();
        assert.is(dead.ok, false);
        assert.match(dead.session, /^false upstream \w+/);
        assert.is(dead.prefix, "false no session is up that could be sent it");
      } finally {
        exporter.close();
        broker.close();
        life.abort();
        await Promise.all([bird.stop("SIGKILL"), neighbour.stop("SIGKILL")]);
        await host.release();
      }
    },
    { limit_ms: 90_000 },
  );
});

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "::1", resolve));
  return (server.address() as AddressInfo).port;
}
