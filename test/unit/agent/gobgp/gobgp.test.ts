/** GoBGP behind the same sample as BIRD and FRR: its configuration, what is no answer of it, and the real daemon of Debian over its gRPC API. */
import { execFile } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Http2Server } from "node:http2";
import { join } from "node:path";
import { promisify } from "node:util";
import { probe } from "@muster/agent/checks/probe";
import { type BgpCollector, createBgp } from "@muster/agent/collectors/bgp";
import { createGobgp, type Ports } from "@muster/agent/ports/index";
import { BgpSample } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import { Check } from "@muster/protocol/resources/check";
import type { BgpState } from "@muster/protocol/telemetry/bgp";
import * as assert from "uvu/assert";
import { unsaid } from "../../../../packages/agent/src/bird/session.ts";
import { UNKNOWN_SINCE as UNKNOWN } from "../../../../packages/agent/src/bird/since.ts";
import { gobgpDeclared } from "../../../../packages/agent/src/gobgp/declared.ts";
import type { Peer } from "../../../../packages/agent/src/gobgp/messages.ts";
import { createReasons } from "../../../../packages/agent/src/gobgp/reasons.ts";
import { sessionOf } from "../../../../packages/agent/src/gobgp/sessions.ts";
import { type Child, freePort, startChild, temporaryDirectory } from "../../../kit/child.ts";
import { suite } from "../../../kit/suite.ts";
import { BINARY, hostPrefix, portsBelow, until } from "../resources/private-bird.ts";

const GOBGPD = "/usr/bin/gobgpd";
const GOBGP = "/usr/bin/gobgp";
const HOST = "127.78.1.1";
const PEER = "127.78.1.2";
const OFF = "127.78.1.9";

const configOf = (port: number, peer_port: number): string =>
  `[global.config]
  as = 64500
  router-id = "10.78.1.1"
  port = ${port}
  local-address-list = ["${HOST}"]
[[rpki-servers]]
  [rpki-servers.config]
    address = "127.0.0.1"
    port = 9
[[neighbors]]
  [neighbors.config]
    neighbor-address = "${PEER}"
    peer-as = 64496
    auth-password = ""
    description = "Transit: Example"
  [neighbors.transport.config]
    local-address = "${HOST}"
    remote-port = ${peer_port}
  [neighbors.ebgp-multihop.config]
    enabled = true
    multihop-ttl = 5
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "ipv4-unicast"
    [neighbors.afi-safis.prefix-limit.config]
      max-prefixes = 100
[[neighbors]]
  [neighbors.config]
    neighbor-address = "${OFF}"
    peer-as = 64499
    admin-down = true
`;

/** BIRD is the neighbour: it connects at once, GoBGP after five seconds. Loopback addresses are no next hops to GoBGP. */
function startPeer(directory: string, port: number, peer_port: number): Child {
  mkdirSync(directory, { recursive: true });
  const text = `router id ${PEER};
protocol static own { ipv4; route 198.51.100.0/24 unreachable; route 203.0.113.0/24 unreachable; }
protocol bgp host { local ${PEER} port ${port} as 64496; neighbor ${HOST} port ${peer_port} as 64500;
  multihop; strict bind yes; connect delay time 1; connect retry time 1; error wait time 1, 2;
  ipv4 { import all; export all; next hop address 10.78.1.2; }; }
`;
  writeFileSync(join(directory, "bird.conf"), text);
  const files = ["-c", "bird.conf", "-s", "bird.ctl", "-P", "pid"];
  return startChild(BINARY, [
    "-f",
    ...files.map((each) => (each.startsWith("-") ? each : join(directory, each))),
  ]);
}

/** One that was killed leaves its socket, and the next does not start beside it. */
function startGobgpd(directory: string, api: string, text: string): Child {
  mkdirSync(directory, { recursive: true });
  rmSync(join(directory, "gobgp.sock"), { force: true });
  writeFileSync(join(directory, "gobgpd.conf"), text);
  return startChild(GOBGPD, ["-f", join(directory, "gobgpd.conf"), "--api-hosts", api, "--pprof-disable"]);
}

/** A server of gRPC that answers every question with these bytes and this end; with null it never does. */
async function answering(
  path: string,
  body: Buffer | null,
  end: Record<string, string>,
): Promise<Http2Server> {
  const server = createServer();
  server.on("stream", (stream) => {
    stream.on("error", () => stream.close());
    if (body === null) return;
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers(end));
    stream.end(body);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return server;
}

/** What a measuring host is asked: GoBGP itself is, though BIRD's port is there too. */
async function sentAsProbed(ports: Ports, bgp: BgpCollector, signal: AbortSignal): Promise<void> {
  const counters = { file: "/none", sent: "sent", received: "received", accepted: "accepted" };
  for (const [prefix, words] of [
    ["192.0.2.0/24", `true sent to ${PEER}`],
    ["192.0.2.0/25", `false 192.0.2.0/25 is not sent to ${PEER}`],
  ] as const) {
    const ask = probe(Check.parse({ probe: { prefix, counters, sent_min: 1_000, replies_min: 0.01 } }), {
      ...{ ports, bgp: () => bgp.last(), fleetCa: () => "" },
    });
    const told = (await ask(signal)).reasons?.find(({ name }) => name === "prefix");
    assert.is(`${told?.ok} ${told?.why}`, words);
  }
}

suite(
  "gobgp",
  (test) => {
    test("gobgpd.conf: neighbours, a group, one without an address, one that is off", () => {
      const { sessions } = gobgpDeclared(`${configOf(179, 179)}
[[peer-groups]]
  [peer-groups.config]
    peer-group-name = "rs"
    peer-as = 64499
[[neighbors]]
  [neighbors.config]
    neighbor-address = "2001:db8:1ee::1"
    peer-group = "rs"
[[neighbors]]
  [neighbors.config]
    neighbor-address = "192.0.2.1"
    peer-as = 64500
[[neighbors]]
  [Neighbors.Config]
    Neighbor-Interface = "eth0"
[[neighbors]]
  [neighbors.Config]
    Neighbor-Interface = "eth1"
    Peer-As = 64510
[[dynamic-neighbors]]
  [dynamic-neighbors.config]
    prefix = "172.16.0.0/12"
    peer-group = "rs"
`);
      assert.equal(
        sessions.map(({ name, as, disabled, external }) => [name, as, disabled, external]),
        [
          [PEER, 64496, false, true],
          [OFF, 64499, true, true],
          ["2001:db8:1ee::1", 64499, false, true],
          ["192.0.2.1", 64500, false, false],
          ["eth1", 64510, false, true],
        ],
      );
    });

    test("gobgpd.conf that cannot be read: where and why, and no line of it", () => {
      for (const [text, words] of [
        ["global:\n  config:\n    as: 64500\n", /line 1, column 7/],
        ['[global.config]\n  auth-password = "s3cret\n', /line 2, column \d+/],
        ["[neighbors.config]\n  peer-as = 1\n", /`neighbors` should be a list/],
      ] as const) {
        try {
          gobgpDeclared(text);
          assert.unreachable(text);
        } catch (error) {
          if (!(error instanceof FleetError)) throw error;
          assert.is(error.code, "CONFIG");
          assert.match(error.detail, words);
          assert.not.match(error.detail, /s3cret|\n/);
        }
      }
    });

    test("a file that could never be read is said, also where nothing answers", async () => {
      const life = new AbortController();
      const prefix = await hostPrefix();
      try {
        const ports = portsBelow(prefix.path, life.signal);
        assert.is(await createBgp(ports, () => null).sample(life.signal), null);
        writeFileSync(join(prefix.path, "etc/gobgpd.conf"), "neighbors:\n");
        const sample = await createBgp(ports, () => null).sample(life.signal);
        assert.equal([sample?.daemon.name, sample?.daemon.reachable, sample?.sessions], ["gobgp", false, []]);
        assert.match(sample?.faults[0]?.what ?? "", /gobgpd\.conf cannot be read/);
      } finally {
        life.abort();
        await prefix.release();
      }
    });

    test("an instant that cannot be is not known, and takes nothing else along", () => {
      const peer = {
        conf: { neighbor_address: PEER },
        state: { session_state: 6, remote_cap: [], local_cap: [] },
        timers: { state: { uptime: { seconds: Number.MAX_SAFE_INTEGER } } },
        afi_safis: [],
      } as unknown as Peer;
      const { since, state } = sessionOf(peer, 3, false, []);
      assert.equal([state, since], ["established", { at: null, exact: false }]);
    });

    test("why a peer went down follows from the notifications that are counted", () => {
      const reasons = createReasons();
      const told = (state: BgpState, received: number, sent: number, off = false) => {
        const seen = unsaid({
          name: PEER,
          state,
          protocol_state: off ? "down" : "start",
          since: UNKNOWN,
          info: null,
        });
        const counts = (notifications: number) => ({ updates: 0, notifications, total: 0 });
        const messages = { received: counts(received), sent: counts(sent) };
        return reasons.with([{ ...seen, messages }])[0]?.last_error ?? null;
      };
      assert.is(told("active", 4, 4), null);
      assert.is(told("established", 4, 4), null);
      assert.is(told("idle", 4, 4), "the connection was lost");
      assert.is(told("active", 4, 4), "the connection was lost");
      assert.is(told("active", 5, 4), "the peer refuses it by a notification");
      assert.is(told("established", 5, 4), null);
      assert.match(told("idle", 5, 5) ?? "", /^GoBGP ended it by a notification/);
      assert.is(told("established", 5, 5), null);
      assert.is(told("idle", 6, 5), "the peer ended it by a notification");
      assert.is(told("idle", 0, 0, true), null);
    });

    test("what is no answer of GoBGP is an error that says so, and silence ends at its limit", async () => {
      const { path, release } = await temporaryDirectory("grpc");
      const ok = { "grpc-status": "0" };
      const cases: [string, Buffer | null, Record<string, string>, RegExp][] = [
        ["cut", Buffer.from([0, 0, 0, 0, 9, 1]), ok, /GOBGP_REPLY.*cut off/],
        ["packed", Buffer.from([1, 0, 0, 0, 0]), ok, /GOBGP_REPLY.*packed/],
        ["noise", Buffer.from([0, 0, 0, 0, 2, 10, 200]), ok, /GOBGP_REPLY.*no such message/],
        [
          "refused",
          Buffer.alloc(0),
          { "grpc-status": "7", "grpc-message": "not%20you" },
          /GOBGP_REPLY.*not you \(7\)/,
        ],
        ["unknown", Buffer.alloc(0), { "grpc-status": "12" }, /GOBGP_REPLY.*\(12\)/],
        ["endless", Buffer.alloc(0), {}, /GOBGP_UNREACHABLE.*broken off/],
        ["silent", null, ok, /GOBGP_UNREACHABLE.*no whole answer within 500 ms/],
      ];
      try {
        for (const [name, body, end, words] of cases) {
          const life = new AbortController();
          const server = await answering(join(path, name), body, end);
          try {
            const reply_ms = body === null ? 500 : 20_000;
            const gobgp = createGobgp({ address: join(path, name), reply_ms }, life.signal);
            const failed = await gobgp.table(life.signal).then(
              () => assert.unreachable(name),
              (error: unknown) => error,
            );
            if (!(failed instanceof FleetError)) throw failed;
            assert.match(`${failed.code} ${failed.message}`, words);
          } finally {
            life.abort();
            server.close();
          }
        }
      } finally {
        await release();
      }
    });

    test("the real daemon: established, exported, went down, away and back", async () => {
      const life = new AbortController();
      const prefix = await hostPrefix();
      const [port, peer_port, api_port] = [await freePort(HOST), await freePort(PEER), await freePort()];
      const text = configOf(port, peer_port);
      const directory = join(prefix.path, "run");
      const api = `unix://${directory}/gobgp.sock,127.0.0.1:${api_port}`;
      writeFileSync(join(prefix.path, "etc/gobgpd.conf"), text);
      let gobgpd = startGobgpd(directory, api, text);
      const peer = startPeer(join(prefix.path, "peer"), peer_port, port);
      const ports = portsBelow(prefix.path, life.signal);
      const bgp = createBgp(ports, () => null);
      const events: string[] = [];
      let last: BgpSample | null = null;
      const seen = async (what: string, done: (sample: BgpSample) => boolean) => {
        try {
          await until(what, 30_000, async () => {
            const polled = await bgp.poll(life.signal);
            events.push(...polled.events.map((event) => event.what));
            last = bgp.last();
            return last !== null && done(last);
          });
        } catch (error) {
          throw new Error(`${what}: ${JSON.stringify(last)}\n${gobgpd.output()}`, { cause: error });
        }
      };
      try {
        await until("GoBGP answers", 30_000, () =>
          ports.gobgp.table(life.signal).then(
            () => true,
            () => false,
          ),
        );
        await promisify(execFile)(GOBGP, [
          ...["-p", String(api_port), "global", "rib", "add", "192.0.2.0/24"],
        ]);
        await seen("up", ({ sessions }) => sessions[0]?.state === "established");
        await until("its routes are told", 30_000, async () => {
          last = await bgp.sample(life.signal);
          const channel = last?.sessions[0]?.channels[0];
          return channel?.imported === 2 && channel.exported === 1;
        });
        const up: BgpSample = BgpSample.parse(JSON.parse(JSON.stringify(last)));
        assert.equal([up.daemon.name, up.daemon.version, up.daemon.router_id], ["gobgp", "3", "10.78.1.1"]);
        const [session, off] = up.sessions;
        assert.equal(
          [session?.name, session?.verdict, session?.session_type, session?.description],
          [PEER, "ok", "external multihop", "Transit: Example"],
        );
        assert.equal([session?.neighbor_id, session?.source_address, session?.local_as], [PEER, HOST, 64500]);
        assert.equal(session?.channels[0]?.limits, [
          { direction: "receive", limit: 100, action: "disable", hit: false },
        ]);
        assert.ok(session?.since.exact && (session.messages?.received.total ?? 0) > 0);
        assert.ok(session?.neighbor_capabilities.includes("route refresh"));
        assert.equal([off?.name, off?.verdict, off?.protocol_state], [OFF, "disabled", "down"]);
        assert.equal([up.rpki[0]?.server, up.rpki[0]?.state], ["127.0.0.1 port 9", "down"]);
        assert.match(up.faults.map(({ what }) => what).join("; "), /ROA table rpki is empty/);
        assert.equal(await ports.gobgp.exported(PEER, ["192.0.2.0/24", "192.0.2.0/25"], life.signal), {
          "192.0.2.0/24": true,
          "192.0.2.0/25": false,
        });
        await sentAsProbed(ports, bgp, life.signal);
        await until("what it originates, which is in no file, is sent", 30_000, async () => {
          const { exports = [] } = (await bgp.sample(life.signal))?.sessions[0] ?? {};
          return (
            exports.length === 1 && exports[0]?.prefix === "192.0.2.0/24" && exports[0].exported === true
          );
        });
        writeFileSync(join(prefix.path, "etc/gobgpd.conf"), "neighbors:\n");
        const unread = await bgp.sample(life.signal);
        assert.match(
          unread?.faults.map(({ what }) => what).join("; ") ?? "",
          /\/etc\/gobgpd\.conf cannot be read: line 1/,
        );
        assert.equal(
          unread?.sessions.map(({ name, verdict }) => [name, verdict]),
          [
            [PEER, "ok"],
            [OFF, "disabled"],
          ],
        );
        await peer.stop("SIGKILL");
        await seen("down", ({ sessions }) => sessions[0]?.verdict === "down");
        assert.match(events.join("; "), /127\.78\.1\.2 .*went down.*the connection was lost/);
        await gobgpd.stop("SIGKILL");
        await seen("GoBGP is away", ({ daemon }) => !daemon.reachable);
        assert.is(bgp.last()?.sessions[0]?.verdict, "missing");
        assert.match(events.join("; "), /GoBGP does not answer/);
        gobgpd = startGobgpd(directory, api, text);
        await seen("GoBGP is back", ({ daemon }) => daemon.reachable);
      } finally {
        life.abort();
        await Promise.all([gobgpd.stop(), peer.stop()]);
        await prefix.release();
      }
    });
  },
  { limit_ms: 120_000 },
);
