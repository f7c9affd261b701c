/** All that BIRD says, over a socket, from recordings of four versions of Debian's packages that run the same router. */
import { createRun } from "@muster/agent/ports/index";
import { BgpSample } from "@muster/protocol";
import * as assert from "uvu/assert";
import { birdFraming } from "../../../../packages/agent/src/bird/framing.ts";
import { parseSessions } from "../../../../packages/agent/src/bird/protocols.ts";
import { surveyBird } from "../../../../packages/agent/src/bird/survey.ts";
import { createRouting } from "../../../../packages/agent/src/ports/routing.ts";
import { type FakeBird, fakeBird, transcript } from "../../../kit/fake-bird.ts";
import { suite } from "../../../kit/suite.ts";

const ROUTER: Readonly<Record<string, string>> = {
  restrict: "restrict",
  "show status": "show-status",
  "show protocols": "show-protocols",
  "show protocols all": "show-protocols-all",
  "show memory": "show-memory",
  "configure status": "status-unconfirmed",
  "show bfd sessions": "show-bfd-sessions",
  "show ospf neighbors": "show-ospf-neighbors",
  "show babel neighbors": "show-babel-neighbors",
  "show route 192.0.2.0/24 export upstream": "export-yes",
  "show route 198.19.0.0/24 export upstream": "export-no",
  "show route 192.0.2.0/24 export locix_rs1": "export-down",
};

async function surveyed(
  version: string,
  body: (
    sample: BgpSample,
    routing: ReturnType<typeof createRouting>,
    fake: FakeBird,
    signal: AbortSignal,
  ) => void | Promise<void>,
): Promise<void> {
  const life = new AbortController();
  const fake = fakeBird({ greeting: transcript(`routers/${version}`, "greeting") });
  for (const [command, file] of Object.entries(ROUTER))
    fake.answers.set(command, transcript(`routers/${version}`, file));
  await fake.start();
  try {
    const options = { socketPath: fake.socketPath, binary: "/nonexistent", run: createRun() };
    const routing = createRouting(options, life.signal);
    const sample = await routing.survey(life.signal);
    // As a reader on the bus gets it.
    assert.equal(BgpSample.parse(JSON.parse(JSON.stringify(sample))), sample);
    await body(sample, routing, fake, life.signal);
  } finally {
    life.abort();
    await fake.dispose();
  }
}

const upstreamOf = (sample: BgpSample) => {
  const found = sample.sessions.find(({ name }) => name === "upstream");
  if (found === undefined) throw new Error("no session upstream");
  return found;
};

suite("bird survey", (test) => {
  for (const version of ["1.6.8", "2.0.12", "2.17.6", "3.1.8"]) {
    const old = version === "1.6.8";
    const three = version === "3.1.8";

    test(`${version}: the daemon, its memory and its undo timer`, () =>
      surveyed(version, ({ daemon }) => {
        assert.is(daemon.version, version);
        assert.is(daemon.state, "running");
        assert.ok((daemon.memory_bytes ?? 0) > 100_000, `${daemon.memory_bytes}`);
        if (old) assert.is(daemon.undo_in_s, null);
        else assert.ok((daemon.undo_in_s ?? 0) > 99 && (daemon.undo_in_s ?? 0) <= 100, `${daemon.undo_in_s}`);
      }));

    test(`${version}: a session with limits, one of them hit, timers and capabilities`, () =>
      surveyed(version, (sample) => {
        const upstream = upstreamOf(sample);
        assert.equal(
          [upstream.state, upstream.neighbor_as, upstream.hold_timer?.total_s],
          ["established", 64496, 30],
        );
        assert.is(upstream.keepalive_timer?.total_s, 10);
        assert.is(upstream.send_hold_timer?.total_s, old || version === "2.0.12" ? undefined : 60);
        assert.is(upstream.connect_timer, null);
        assert.is(upstream.tx_pending_bytes, three ? 0 : null);
        assert.ok(upstream.neighbor_capabilities.length >= 5);
        assert.equal(upstream.local_capabilities.includes("Route refresh"), !old);
        assert.equal(
          upstream.channels.map(({ family }) => family),
          old ? ["ipv4"] : ["ipv6", "ipv4"],
        );
        const channel = upstream.channels.at(-1);
        assert.equal(
          channel?.limits.filter(({ hit }) => hit),
          [{ direction: "import", limit: 1, action: "block", hit: true }],
        );
        assert.equal([channel?.imported, channel?.exported, channel?.preference], [1, 1, 100]);
        assert.equal(
          [channel?.import_state, channel?.export_state, channel?.pending],
          three ? ["up", "ready", 0] : [null, null, null],
        );
        assert.is(channel?.counters?.import_updates?.received, 3);
        const kept = upstream.channels[0];
        assert.is(kept?.filtered, old ? 2 : 1);
      }));

    test(`${version}: a name of thirty characters, a refused, a disabled and a passive session`, () =>
      surveyed(version, ({ sessions }) => {
        const named = new Map(sessions.map((session) => [session.name, session]));
        const long = named.get("a_session_of_thirty_characters");
        assert.equal([long?.state, long?.last_error], ["active", "Socket: Network is unreachable"]);
        assert.is(long?.connect_timer?.total_s, 5);
        assert.equal([named.get("off1")?.state, named.get("waiting")?.state], ["down", "passive"]);
        if (!old) assert.is(named.get("students")?.neighbor_range, "10.9.0.4/30");
      }));

    test(`${version}: BFD and the inner protocols' neighbours`, () =>
      surveyed(version, ({ bfd, neighbors }) => {
        assert.equal(
          bfd.map(({ protocol, address, interface: found, state, interval_s, timeout_s }) => [
            ...[protocol, address, found, state, interval_s, timeout_s],
          ]),
          [["bfd1", "10.9.0.2", "va", "up", 0.2, 0.6]],
        );
        assert.is.not(bfd[0]?.since.at, null);
        assert.equal(
          neighbors.map(({ protocol, kind, interface: found, id, state }) => [
            protocol,
            kind,
            found,
            id,
            state,
          ]),
          [
            ["o2", "ospf", "va", "10.0.0.2", "2-Way/Other"],
            ["o3", "ospf", "va", "10.0.0.2", "2-Way/Other"],
            ["bb", "babel", "va", null, null],
          ].slice(0, old ? 1 : 3),
        );
        for (const { kind, expires_s, metric } of neighbors) {
          assert.is(metric, kind === "babel" ? 96 : null);
          assert.ok((expires_s ?? 0) > 0 && (expires_s ?? 0) < 10, `${expires_s}`);
        }
      }));

    test(`${version}: every other protocol has its row`, () =>
      surveyed(version, ({ protocols }) => {
        const kinds = new Set(protocols.map(({ kind }) => kind));
        const expected = old
          ? ["Device", "Direct", "Kernel", "Static", "Pipe", "BFD", "OSPF"]
          : ["Device", "Direct", "Kernel", "Static", "RPKI", "BFD", "OSPF", "Babel"];
        assert.equal([...kinds].sort(), expected.sort());
        assert.not(kinds.has("BGP"));
      }));

    test(`${version}: whether a prefix is exported`, () =>
      surveyed(version, async (_sample, routing, _fake, signal) => {
        assert.equal(await routing.exported("upstream", ["192.0.2.0/24", "198.19.0.0/24"], signal), {
          "192.0.2.0/24": true,
          "198.19.0.0/24": false,
        });
        // 1.6 says of a session that is down that nothing is exported, which is true; the later ones that it cannot tell.
        const down = await routing.exported("locix_rs1", ["192.0.2.0/24"], signal);
        assert.is(down["192.0.2.0/24"], old ? false : null);
      }));

    if (old) continue;
    test(`${version}: RPKI servers, and what is in the ROA tables`, () =>
      surveyed(version, ({ rpki, roa_tables }) => {
        const [good, away] = rpki;
        assert.equal(
          [good?.name, good?.state, good?.server, good?.roas],
          ["r3k", "established", "127.0.0.1 port 18282", 3],
        );
        assert.equal([good?.serial, good?.expire_timer?.total_s], [0, 7200]);
        assert.ok((good?.last_update_s ?? 0) > 0);
        assert.equal(
          [away?.name, away?.state, away?.roas, away?.last_update_s],
          ["away", "transport-error", null, null],
        );
        assert.equal(roa_tables, [
          { table: "r4", roas: 3 },
          { table: "r6", roas: 1 },
        ]);
      }));
  }

  test("what a BIRD has no protocol for is not asked, and what it refuses is left empty", () =>
    surveyed("2.0.12", async (_sample, routing, fake, signal) => {
      const plain = transcript("routers/2.0.12", "show-protocols-all");
      fake.answers.set(
        "show protocols all",
        plain.replace(/^1002-bb .*\n(1006-| {3}).*\n(?: {2,}.*\n)* \n/m, ""),
      );
      fake.answers.set("show bfd sessions", "8007 Access denied\n");
      fake.received.length = 0;
      const sample = await routing.survey(signal);
      assert.not(fake.received.includes("show babel neighbors"));
      assert.equal(sample.bfd, []);
      assert.is(sample.sessions.length, 6);
    }));

  test("a protocol of a kind never heard of has a row and confuses no session", () =>
    surveyed("3.1.8", async (_sample, routing, fake, signal) => {
      const text = transcript("routers/3.1.8", "show-protocols-all");
      const odd = `1002-warp1      Warp       ---        up     22:13:46.494  Folding  9\n1006-  BGP state:          Established\n     Neighbor AS:      1\n   Channel ipv6\n     State:          UP\n \n`;
      const at = text.indexOf("1002-upstream");
      fake.answers.set("show protocols all", text.slice(0, at) + odd + text.slice(at));
      const sample = await routing.survey(signal);
      const warp = sample.protocols.find(({ name }) => name === "warp1");
      assert.equal([warp?.kind, warp?.state, warp?.info], ["Warp", "up", "Folding  9"]);
      assert.is(upstreamOf(sample).neighbor_as, 64496);
    }));

  test("a BIRD that tells of one OSPF protocol at a time is asked for each by its name", async () => {
    const read = (name: string) => transcript("routers/1.6.8", name);
    const [row] = read("show-protocols-all").match(/^(?:1002-| ).* OSPF .*$/m) ?? [];
    assert.ok(row !== undefined);
    const name = row.replace(/^(1002-| )/, "").split(" ")[0] ?? "";
    const asked: string[] = [];
    const two = read("show-protocols-all").replace(row, `${row}\n${row.replace(name, "inner")}`);
    const replies: Record<string, string> = {
      "show status": read("show-status"),
      "show protocols all": two,
      "show memory": read("show-memory"),
      "configure status": "9001 syntax error\n",
      "show ospf neighbors": "9001 There are multiple OSPF protocols running\n",
      [`show ospf neighbors ${name}`]: read("show-ospf-neighbors"),
      "show ospf neighbors inner": read("show-ospf-neighbors").replaceAll(name, "inner"),
    };
    const { beside } = await surveyBird(async (command) => {
      asked.push(command);
      const [event] = birdFraming(1 << 20).push(Buffer.from(replies[command] ?? "9001 syntax error\n"));
      if (event?.kind !== "reply") throw new Error(command);
      return event.reply;
    }, Date.now);
    const one = beside.neighbors.length / 2;
    assert.ok(one > 0 && asked.includes("show ospf neighbors inner"), asked.join());
  });

  test("what it waits for after an error is told as the next attempt", () => {
    const text = `1002-peer       BGP        ---        start  12:00:00.000  Idle          BGP Error: Bad peer AS
1006-  BGP state:          Idle
     Neighbor address: 192.0.2.1
     Neighbor AS:      2
     Error wait:       41.239/60
     Last error:       BGP Error: Bad peer AS
0000 
`;
    const [event] = birdFraming(1 << 20).push(Buffer.from(text));
    if (event?.kind !== "reply") throw new Error("no reply");
    assert.equal(parseSessions(event.reply, null)[0]?.connect_timer, { remaining_s: 41.239, total_s: 60 });
  });
});
