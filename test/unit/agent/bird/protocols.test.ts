/** `show protocols all` of four versions: one recorded from the real daemon, three written from its formats. */
import { FleetError } from "@muster/protocol/errors";
import * as assert from "uvu/assert";
import { type BirdReply, birdFraming } from "../../../../packages/agent/src/bird/framing.ts";
import { parseProtocols, parseSessions } from "../../../../packages/agent/src/bird/protocols.ts";
import type { SeenSession } from "../../../../packages/agent/src/bird/session.ts";
import { parseStatus } from "../../../../packages/agent/src/bird/status.ts";
import { transcript } from "../../../kit/fake-bird.ts";
import { suite } from "../../../kit/suite.ts";

function replyOf(text: string): BirdReply {
  const [event] = birdFraming(1 << 20).push(Buffer.from(text));
  if (event?.kind !== "reply") throw new Error("the text holds no whole reply");
  return event.reply;
}

const replay = (version: string, name = "show-protocols-all") => replyOf(transcript(version, name));

function session(sessions: readonly SeenSession[], name: string): SeenSession {
  const found = sessions.find((candidate) => candidate.name === name);
  if (found === undefined) throw new Error(`no session ${name}`);
  return found;
}

suite("bird protocols", (test) => {
  test("2.0.12, recorded: every row, its kind and its state", () => {
    const rows = parseProtocols(replay("2.0.12")).map((row) => `${row.name} ${row.kind} ${row.state}`);
    assert.equal(rows, [
      "device1 Device up",
      "announced Static up",
      "announced4 Static up",
      "r3k RPKI start",
      "upstream BGP up",
      "a_session_with_a_very_long_name BGP start",
      "locix_rs1 BGP start",
      "off1 BGP down",
      "waiting BGP start",
      "students BGP start",
      "bgp1 BGP down",
      "student1 BGP up",
    ]);
  });

  test("2.0.12, recorded: an established session with two channels", () => {
    const upstream = session(parseSessions(replay("2.0.12"), null), "upstream");
    assert.is(upstream.state, "established");
    assert.is(upstream.protocol_state, "up");
    assert.is(upstream.description, "Transit: Example AS64496 # not a comment { it's up");
    assert.is(upstream.neighbor_address, "::1");
    assert.is(upstream.neighbor_as, 64496);
    assert.is(upstream.local_as, 64500);
    assert.is(upstream.neighbor_id, "10.0.0.2");
    assert.is(upstream.session_type, "external multihop AS4");
    assert.is(upstream.hold_timer?.total_s, 30);
    assert.is(upstream.keepalive_timer?.total_s, 10);
    assert.is(upstream.send_hold_timer, null);
    assert.equal(upstream.neighbor_capabilities, [
      "Multiprotocol",
      "Route refresh",
      "Extended next hop",
      "Graceful restart",
      "4-octet AS numbers",
      "Enhanced refresh",
      "Long-lived graceful restart",
    ]);
    const [v6, v4] = upstream.channels;
    assert.equal([v6?.family, v6?.state, v6?.table], ["ipv6", "up", "master6"]);
    assert.equal([v6?.imported, v6?.filtered, v6?.exported, v6?.preferred], [2, 1, 1, 2]);
    assert.equal(v6?.limits, [
      { direction: "receive", limit: 200, action: "disable", hit: false },
      { direction: "import", limit: 100, action: "block", hit: false },
    ]);
    assert.equal([v4?.imported, v4?.filtered, v4?.exported], [1, null, 2]);
    assert.equal(v4?.limits, [{ direction: "import", limit: 1, action: "block", hit: true }]);
    assert.is(v6?.counters?.import_withdraws?.filtered, null);
    assert.is(v6?.counters?.import_updates?.rx_limit, null);
  });

  test("2.0.12, recorded: a refused connection, a name that overflows, a disabled, a passive and a dynamic one", () => {
    const sessions = parseSessions(replay("2.0.12"), null);
    const refused = session(sessions, "locix_rs1");
    assert.equal([refused.state, refused.last_error], ["active", "Socket: Connection refused"]);
    assert.equal([refused.channels[0]?.state, refused.channels[0]?.imported], ["down", null]);
    assert.is(refused.channels[0]?.counters, null);
    assert.is(session(sessions, "a_session_with_a_very_long_name").neighbor_address, "2001:db8:1ee::1");
    assert.equal([session(sessions, "off1").state, session(sessions, "off1").info], ["down", null]);
    assert.is(session(sessions, "waiting").state, "passive");
    const listener = session(sessions, "students");
    assert.equal(
      [listener.dynamic, listener.neighbor_range, listener.neighbor_address, listener.neighbor_as],
      [true, "127.0.0.0/24", null, null],
    );
  });

  test("2.0.12, recorded: times become instants through `show status`", () => {
    const now_ms = Date.parse("2026-11-21T09:41:24Z");
    const { clock, daemon } = parseStatus(replay("2.0.12", "show-status"), now_ms);
    assert.equal(
      [daemon.version, daemon.router_id, daemon.state, daemon.reachable],
      ["2.0.12", "10.0.0.1", "running", true],
    );
    assert.equal(daemon.since, { at: "2026-11-21T09:23:07.914Z", exact: true });
    const upstream = session(parseSessions(replay("2.0.12"), clock), "upstream");
    assert.equal(upstream.since, { at: "2026-11-21T09:41:17.211Z", exact: true });
  });

  test("2.0.12, recorded: rows alone still give the state", () => {
    const sessions = parseSessions(replay("2.0.12", "show-protocols"), null);
    assert.equal(
      ["upstream", "locix_rs1", "off1", "waiting"].map((name) => session(sessions, name).state),
      ["established", "active", "down", "passive"],
    );
    assert.is(session(sessions, "locix_rs1").info, "Active        Socket: Connection refused");
  });

  test("1.6: one channel without a header, caps in one line, a description that looks like a key", () => {
    const { clock, daemon } = parseStatus(replay("1.6.8", "show-status"), Date.parse("2026-11-21T14:20:40Z"));
    assert.is(daemon.version, "1.6.8");
    const sessions = parseSessions(replay("1.6.8"), clock);
    assert.equal(
      sessions.map((found) => found.name),
      ["neighbor_v4_1", "bgp_old"],
    );
    const [up, old] = sessions;
    assert.is(up?.description, "Routes: 7 imported");
    assert.equal(up?.neighbor_capabilities, ["refresh", "restart-aware", "AS4"]);
    assert.equal(up?.hold_timer, { remaining_s: 66, total_s: 90 });
    assert.is(up?.channels.length, 1);
    const channel = up?.channels[0];
    assert.equal([channel?.family, channel?.table, channel?.state], ["ipv4", "master", "up"]);
    assert.equal([channel?.imported, channel?.filtered, channel?.exported], [12, 1, 34]);
    assert.equal(channel?.limits, [{ direction: "import", limit: 1000, action: "restart", hit: false }]);
    assert.is(channel?.counters?.export_updates?.accepted, 34);
    // BIRD's zone is an hour ahead of UTC here.
    assert.equal(up?.since, { at: "2026-11-21T14:20:31.000Z", exact: true });
    assert.equal(old?.since, { at: "2026-11-18T23:00:00.000Z", exact: false });
    assert.equal([old?.channels[0]?.imported, old?.last_error], [null, "Socket: Connection refused"]);
  });

  test("2.16: epoch times, send hold timer, link-local peer; BMP and RPKI blocks do not leak in", () => {
    const { clock } = parseStatus(replay("2.16.1", "show-status"), 1795253112_000);
    const sessions = parseSessions(replay("2.16.1"), clock);
    assert.equal(
      sessions.map((found) => found.name),
      ["upstream", "limited"],
    );
    const [upstream, limited] = sessions;
    assert.equal(upstream?.since, { at: new Date(1795160000_000).toISOString(), exact: true });
    assert.equal(upstream?.send_hold_timer, { remaining_s: 311.245, total_s: 360 });
    assert.equal([upstream?.neighbor_address, upstream?.neighbor_port], ["fe80::1%eth0", 1179]);
    assert.ok(upstream?.neighbor_capabilities.includes("Hostname: border.example.net"));
    assert.not(upstream?.neighbor_capabilities.some((text) => text.startsWith("RX")));
    assert.equal(upstream?.channels[0]?.limits, [
      { direction: "export", limit: 10, action: "block", hit: true },
    ]);
    assert.is(upstream?.channels[0]?.next_hop, "2001:db8::2 fe80::2");
    assert.is(upstream?.channels.length, 1);
    assert.equal([limited?.state, limited?.last_error], ["down", "Route limit exceeded"]);
  });

  test("3.3: seven counter columns land in their own fields", () => {
    const upstream = session(parseSessions(replay("3.3.2"), null), "upstream");
    assert.equal(upstream.channels[0]?.counters?.import_updates, {
      received: 100,
      rejected: 1,
      filtered: 8,
      ignored: 0,
      rx_limit: 2,
      limit: 3,
      accepted: 90,
    });
    assert.equal(upstream.channels[0]?.counters?.export_withdraws, {
      received: 0,
      rejected: null,
      filtered: null,
      ignored: 0,
      rx_limit: null,
      limit: null,
      accepted: 0,
    });
    assert.equal([upstream.channels[1]?.state, upstream.channels[1]?.imported], ["down", null]);
    assert.is(upstream.state, "established");
    assert.is(upstream.protocol_state, "up");
  });

  test("3.3: yesterday's time, a stopping session, the column that 3.0 calls `IN limit`", () => {
    const { clock, daemon } = parseStatus(replay("3.3.2", "show-status"), Date.parse("2026-11-21T00:30:00Z"));
    assert.is(daemon.state, "recovering");
    const sessions = parseSessions(replay("3.3.2"), clock);
    assert.equal(session(sessions, "upstream").since, { at: "2026-11-20T23:45:00.125Z", exact: true });
    const stopping = session(sessions, "rs3");
    assert.equal(
      [stopping.state, stopping.protocol_state, stopping.last_error, stopping.message],
      ["close", "stop", "BGP Error: Hold timer expired", "going down"],
    );
    assert.is(stopping.channels[0]?.counters?.import_updates?.limit, 7);
    assert.is(stopping.channels[0]?.state, "flushing");
  });

  test("a counter table with an unknown number of columns is unknown, not shifted", () => {
    const text = transcript("3.3.2", "show-protocols-all").replace(
      /100 +1 +8 +0 +2 +3 +90/,
      "100 1 8 0 2 3 4 90",
    );
    const upstream = session(parseSessions(replyOf(text), null), "upstream");
    assert.is(upstream.channels[0]?.counters?.import_updates?.accepted, null);
    assert.is(upstream.channels[0]?.imported, 90);
  });

  test("a spaced time format keeps Since and Info apart", () => {
    const text = "1002-k3s_peer  BGP        ---        up     2024-03-08 15:13:49  Established\n0000 \n";
    const [row] = parseProtocols(replyOf(text));
    assert.equal([row?.since_text, row?.info], ["2024-03-08 15:13:49", "Established"]);
  });

  test("an unknown BGP state is unknown, a refusal and a broken row are errors", () => {
    const odd = "1002-x          BGP        ---        start  10:00:00.000  Dreaming\n0000 \n";
    assert.is(parseSessions(replyOf(odd), null)[0]?.state, "unknown");
    assert.equal(parseProtocols(replyOf("8003 No protocols match\n")), []);
    const codes = ["8007 Access denied\n", "9001 syntax error\n", "1002-x BGP\n0000 \n"].map((text) => {
      try {
        parseProtocols(replyOf(text));
      } catch (error) {
        if (error instanceof FleetError) return error.code;
      }
      return "no error";
    });
    assert.equal(codes, ["BIRD_REFUSED", "BIRD_REFUSED", "BIRD_REPLY"]);
  });
});
