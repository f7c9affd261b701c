/** FRR behind the same sample as BIRD: its answers as recorded, its configuration, and the real daemon of Debian over its vty. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { createBgp } from "@muster/agent/collectors/bgp";
import { createFrr } from "@muster/agent/ports/index";
import { BgpSample } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import * as assert from "uvu/assert";
import { faultsOf } from "../../../../packages/agent/src/bird/faults.ts";
import { frrDeclared } from "../../../../packages/agent/src/frr/declared.ts";
import { frrSessions } from "../../../../packages/agent/src/frr/neighbors.ts";
import { type Child, freePort, startChild, temporaryDirectory } from "../../../kit/child.ts";
import { suite } from "../../../kit/suite.ts";
import { BINARY, hostPrefix, portsBelow, until } from "../resources/private-bird.ts";

const BGPD = "/usr/lib/frr/bgpd";
const HOST = "127.78.0.1";
const PEER = "127.78.0.2";
const recorded = (name: string) =>
  readFileSync(new URL(`../../../transcripts/frr/8.4.4/${name}`, import.meta.url), "utf8");

const configOf = (peer_port: number): string =>
  `router bgp 64500
 bgp router-id 10.78.0.1
 no bgp ebgp-requires-policy
 no bgp network import-check
 neighbor ${PEER} remote-as 64496
 neighbor ${PEER} port ${peer_port}
 neighbor ${PEER} ebgp-multihop 5
 neighbor ${PEER} timers 3 9
 neighbor ${PEER} timers connect 1
 neighbor ${PEER} update-source ${HOST}
 ! There is no bfdd beside it.
 neighbor ${PEER} bfd
 address-family ipv4 unicast
  network 192.0.2.0/24
 exit-address-family
!
`;

/** BIRD is the neighbour: it connects at once. Loopback addresses are no next hops to FRR. */
function startPeer(directory: string, port: number, peer_port: number): Child {
  mkdirSync(directory, { recursive: true });
  const text = `router id ${PEER};
protocol static own { ipv4; route 198.51.100.0/24 unreachable; }
protocol bgp host { local ${PEER} port ${peer_port} as 64496; neighbor ${HOST} port ${port} as 64500;
  multihop; strict bind yes; connect delay time 1; connect retry time 1; error wait time 1, 2;
  ipv4 { import all; export where source = RTS_STATIC; next hop address 10.78.0.2; }; }
`;
  writeFileSync(join(directory, "bird.conf"), text);
  const files = ["-c", "bird.conf", "-s", "bird.ctl", "-P", "pid"];
  return startChild(BINARY, [
    "-f",
    ...files.map((each) => (each.startsWith("-") ? each : join(directory, each))),
  ]);
}

const RPKI = "rpki\n rpki cache 127.0.0.1 9 preference 1\nexit\n!\n";

function startBgpd(directory: string, listen: string, port: number, text: string) {
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "frr.conf"), text);
  return startChild(BGPD, [
    ...["-f", join(directory, "frr.conf"), "-i", join(directory, "pid"), "--vty_socket", directory],
    ...["-P", "0", "-p", String(port), "-l", listen, "-Z", "-S", "-n", "-M", "rpki", "--log", "stdout"],
  ]);
}

/** A daemon's vty that answers each question by its beginning: with a text, or with a text and a code; with null it is silent. */
async function answering(
  path: string,
  replies: Readonly<Record<string, string | readonly [string, number] | null>>,
): Promise<Server> {
  const server = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    socket.on("data", (data) => {
      const asked = data.toString();
      const found = Object.entries(replies).find(([begin]) => asked.startsWith(begin));
      if (found === undefined) throw new Error(`asked: ${asked}`);
      const [, reply] = found;
      if (reply === null) return;
      const [text, code] = typeof reply === "string" ? [reply, 0] : reply;
      socket.write(Buffer.concat([Buffer.from(text), Buffer.from([0, 0, 0, code])]));
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return server;
}

suite(
  "frr",
  (test) => {
    test("8.4.4, recorded: an established, a refused and a shut-down neighbour", () => {
      const { sessions, router_id } = frrSessions(
        recorded("neighbors.json"),
        Date.parse("2026-11-25T23:10:00Z"),
      );
      assert.is(router_id, "10.77.0.1");
      assert.equal(
        sessions.map(({ name, state, protocol_state, neighbor_as }) => [
          name,
          state,
          protocol_state,
          neighbor_as,
        ]),
        [
          ["127.78.0.2", "established", "up", 64496],
          ["127.78.0.8", "idle", "down", 64498],
          ["127.78.0.9", "active", "start", 64499],
        ],
      );
      const [up, off] = sessions;
      assert.equal(
        [up?.description, up?.source_address, up?.neighbor_id],
        ["Transit: Example", "127.78.0.1", "10.77.0.2"],
      );
      assert.equal([up?.hold_timer?.total_s, up?.keepalive_timer?.total_s], [30, 10]);
      assert.ok(up?.since.exact);
      assert.ok(
        up?.neighbor_capabilities.includes("4byteAs") && up.local_capabilities.includes("routeRefresh"),
      );
      assert.equal(
        up?.channels.map(({ family, state, imported, exported }) => [family, state, imported, exported]),
        [
          ["ipv4", "up", 2, 3],
          ["ipv6", "up", 0, 0],
        ],
      );
      assert.equal(up?.channels[0]?.limits, [
        { direction: "receive", limit: 100, action: "warn", hit: false },
      ]);
      assert.is(up?.channels[0]?.export_filter, "hop");
      assert.equal([off?.last_error, off?.since.at, off?.channels[0]?.imported], [null, null, null]);
    });

    test("what is no answer of FRR is an error, not an empty list", () => {
      for (const text of ["", "% Unknown command", "[]", '{"default":']) {
        try {
          frrSessions(text, 0);
          assert.unreachable(JSON.stringify(text));
        } catch (error) {
          if (!(error instanceof FleetError)) throw error;
          assert.is(error.code, "FRR_REPLY");
        }
      }
    });

    test("frr.conf: neighbours, groups, a VRF, unnumbered and shut-down ones, and what is originated", () => {
      const { sessions, originated } = frrDeclared(`router bgp 64500
 neighbor rs peer-group
 neighbor rs remote-as 64499
 neighbor 2001:db8:1ee::1 peer-group rs
 neighbor 192.0.2.1 remote-as internal
 neighbor eth0 interface remote-as 64510
 neighbor 192.0.2.9 remote-as 64498
 neighbor 192.0.2.9 shutdown message switch swap
 address-family ipv6 unicast
  network 2001:db8:5000::/36
  neighbor 2001:db8:1ee::1 activate
 exit-address-family
router ospf
 network 10.0.0.0/8 area 0
router bgp 64500 vrf blue
 neighbor 10.0.0.1 remote-as 64501`);
      assert.equal(
        sessions.map(({ name, as, disabled, external }) => [name, as, disabled, external]),
        [
          ["2001:db8:1ee::1", 64499, false, true],
          ["192.0.2.1", 64500, false, false],
          ["eth0", 64510, false, true],
          ["192.0.2.9", 64498, true, true],
          ["blue:10.0.0.1", 64501, false, true],
        ],
      );
      assert.equal(originated, ["2001:db8:5000::/36"]);
    });

    test("an answer in pieces is put together, and one that does not come ends at its limit", async () => {
      const { path, release } = await temporaryDirectory("vty");
      const life = new AbortController();
      const server = createServer((socket) => {
        socket.on("error", () => socket.destroy());
        socket.on("data", async (data) => {
          if (data.toString().startsWith("show version")) return;
          for (const byte of Buffer.from('{"default":{}}\0\0\0\0')) {
            socket.write(Buffer.from([byte]));
            await new Promise(setImmediate);
          }
        });
      });
      await new Promise<void>((resolve) => server.listen(join(path, "bgpd.vty"), resolve));
      try {
        const frr = createFrr({ socketPath: join(path, "bgpd.vty"), reply_ms: 2_000 }, life.signal);
        assert.is(await frr.table(life.signal), "");
        await frr.survey(life.signal).then(
          () => assert.unreachable(),
          (error) => assert.match(error.message, /no whole answer within 2000 ms/),
        );
      } finally {
        life.abort();
        server.close();
        await release();
      }
    });

    test("what stands beside the sessions and is refused, broken or silent is unknown by itself, and said so", async () => {
      const unknown = ["% [BGP] Unknown command: show rpki", 2] as const;
      const bgpd = {
        ...{ "show version": "FRRouting 8.4.4 (r1)", "show bgp": recorded("neighbors.json") },
        "show memory": recorded("memory.txt"),
      };
      const enable = { enable: "" };
      const cases: [string, Parameters<typeof answering>[1], Parameters<typeof answering>[1], RegExp][] = [
        ["none", { "show rpki": unknown }, { ...enable, show: "[]" }, /^$/],
        [
          "broken",
          { "show rpki cache-server": '{"servers":7}', "show rpki": "{}" },
          { ...enable, show: '[{"peer":' },
          /BFD: no JSON: "\[.*; FRR does not tell of RPKI caches: its servers are no list of caches/,
        ],
        [
          "refused",
          { "show rpki": ["cannot", 1] },
          { enable: ["% not you", 1], show: "[]" },
          /BFD: % not you \(1\); FRR does not tell of RPKI caches: cannot \(1\)/,
        ],
        [
          "silent",
          { "show rpki": unknown },
          { ...enable, show: null },
          /BFD: `show bfd peers json` had no whole answer within 2500 ms/,
        ],
      ];
      for (const [name, rpki, bfd, words] of cases) {
        const { path, release } = await temporaryDirectory(name);
        const life = new AbortController();
        const servers = [
          await answering(join(path, "bgpd.vty"), { ...bgpd, ...rpki }),
          await answering(join(path, "bfdd.vty"), bfd),
          await answering(join(path, "ospfd.vty"), { "show ip ospf": recorded("ospf-neighbors.json") }),
          await answering(join(path, "ospf6d.vty"), {
            "show ipv6 ospf6 neighbor json": recorded("ospf6-neighbors.json"),
            "show ipv6 ospf6 neighbor detail": recorded("ospf6-neighbors-detail.json"),
          }),
        ];
        try {
          const frr = createFrr(
            { socketPath: join(path, "bgpd.vty"), reply_ms: name === "silent" ? 5_000 : 40_000 },
            life.signal,
          );
          const sample = await frr.survey(life.signal);
          assert.equal([sample.daemon.reachable, sample.sessions.length], [true, 3], name);
          assert.match(sample.faults.map(({ what }) => what).join("; "), words, name);
          assert.equal([sample.rpki, sample.bfd], [[], []], name);
          // No babeld runs.
          assert.equal(
            sample.neighbors.map(({ protocol }) => protocol),
            ["ospfd", "ospf6d"],
            name,
          );
          assert.equal(faultsOf(sample), [...sample.faults], name);
          // The one that was silent is not waited for again, and what it was stands.
          const again = await frr.survey(life.signal);
          assert.equal(again.faults, sample.faults, name);
        } finally {
          life.abort();
          for (const server of servers) server.close();
          await release();
        }
      }
    });

    test("the real daemon: established, exported, went down, away and back", async () => {
      const life = new AbortController();
      const prefix = await hostPrefix();
      const [port, peer_port] = [await freePort(HOST), await freePort(PEER)];
      const config = configOf(peer_port);
      const directory = join(prefix.path, "run");
      mkdirSync(join(prefix.path, "etc/frr"), { recursive: true });
      writeFileSync(join(prefix.path, "etc/frr/frr.conf"), config);
      let frr = startBgpd(directory, HOST, port, RPKI + config);
      const peer = startPeer(join(prefix.path, "peer"), port, peer_port);
      let ahead_ms = 0;
      const ports = { ...portsBelow(prefix.path, life.signal), now: () => Date.now() + ahead_ms };
      const bgp = createBgp(ports, () => null);
      const events: string[] = [];
      let last: BgpSample | null = null;
      const seen = async (what: string, done: (sample: BgpSample) => boolean) => {
        try {
          await until(what, 30_000, async () => {
            // So that everything is due at each poll.
            ahead_ms += 10_000;
            const polled = await bgp.poll(life.signal);
            events.push(...polled.events.map((event) => event.what));
            last = bgp.last();
            return last !== null && done(last);
          });
        } catch (error) {
          throw new Error(`${what}: ${JSON.stringify(last)}\n${frr.output()}`, { cause: error });
        }
      };
      try {
        await seen("up with its routes", ({ sessions }) => sessions[0]?.channels[0]?.exported === 2);
        const up: BgpSample = BgpSample.parse(JSON.parse(JSON.stringify(last)));
        assert.match(`${up.daemon.name} ${up.daemon.version}`, /^frr \d+\.\d+/);
        assert.equal(
          [up.sessions[0]?.name, up.sessions[0]?.verdict, up.sessions[0]?.channels[0]?.imported],
          [PEER, "ok", 1],
        );
        await seen("the export is looked up", ({ sessions }) => sessions[0]?.exports[0]?.exported === true);
        assert.is(up.sessions.length, 1);
        assert.ok((up.daemon.memory_bytes ?? 0) > 1024 ** 2);
        assert.ok((up.sessions[0]?.messages?.received.total ?? 0) > 0);
        assert.equal(
          [up.rpki[0]?.server, up.rpki[0]?.state, up.rpki[0]?.last_update_s],
          ["127.0.0.1 port 9", "disconnected", null],
        );
        assert.equal(
          up.bfd.map(({ address, state }) => [address, state]),
          [[PEER, "unknown"]],
        );
        assert.match(
          up.faults.map(({ what }) => what).join("; "),
          /RPKI 127\.0\.0\.1 port 9 .* disconnected.*; BFD with 127\.78\.0\.2 is unknown/,
        );
        await peer.stop("SIGKILL");
        await seen("down", ({ sessions }) => sessions[0]?.verdict === "down");
        assert.match(events.join("; "), /127\.78\.0\.2 .*went down/);
        await frr.stop("SIGKILL");
        await seen("FRR is away", ({ daemon }) => !daemon.reachable);
        assert.is(bgp.last()?.sessions[0]?.verdict, "missing");
        assert.match(events.join("; "), /FRR does not answer/);
        frr = startBgpd(directory, HOST, port, RPKI + config);
        await seen("FRR is back, on a new socket", ({ daemon }) => daemon.reachable);
      } finally {
        life.abort();
        await Promise.all([frr.stop(), peer.stop()]);
        await prefix.release();
      }
    });
  },
  { limit_ms: 120_000 },
);
