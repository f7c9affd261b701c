/** Since when a session is gone and a daemon silent: from the first sample that saw it, over all that follow. */
import * as assert from "uvu/assert";
import { declaredSessions } from "../../../../packages/agent/src/bird/declared.ts";
import { replyOf } from "../../../../packages/agent/src/bird/framing.ts";
import { judgeSessions } from "../../../../packages/agent/src/bird/judge.ts";
import { parseSessions } from "../../../../packages/agent/src/bird/protocols.ts";
import { remember } from "../../../../packages/agent/src/bird/remember.ts";
import { unreachableDaemon } from "../../../../packages/agent/src/bird/status.ts";
import { NOTHING_BESIDE } from "../../../../packages/agent/src/bird/survey.ts";
import type { BgpSample, BgpSession } from "../../../../packages/protocol/src/telemetry/bgp.ts";
import { suite } from "../../../kit/suite.ts";

const { sessions } = declaredSessions("protocol bgp upstream { neighbor 2001:db8::1 as 64496; }");
const sample = (at: string, reachable: boolean): BgpSample => ({
  at,
  daemon: { ...unreachableDaemon("no socket"), reachable },
  sessions: judgeSessions(sessions, {}, reachable ? [] : null, Date.parse(at)),
  ...NOTHING_BESIDE,
});

suite("bird remember", (test) => {
  const before = { ...sample("2026-11-21T06:00:00.000Z", true), sessions: [] };
  const first = remember(sample("2026-11-21T06:00:02.000Z", false), before);

  test("the time is that of the first sample that saw it so, and stays", () => {
    const later = remember(sample("2026-11-21T06:30:00.000Z", false), first);
    assert.is(first.daemon.since.at, "2026-11-21T06:00:02.000Z");
    assert.is(later.daemon.since.at, first.daemon.since.at);
    assert.is(later.sessions[0]?.since.at, "2026-11-21T06:00:02.000Z");
  });

  test("another verdict is a new time", () => {
    const down = {
      ...first,
      sessions: first.sessions.map((session) => ({ ...session, verdict: "down" as const })),
    };
    const missing = remember(sample("2026-11-21T07:00:00.000Z", false), down);
    assert.is(missing.sessions[0]?.since.at, "2026-11-21T07:00:00.000Z");
  });

  test("what was so in the very first sample stays unknown", () => {
    const at_start = remember(sample("2026-11-21T06:00:00.000Z", false), null);
    assert.is(at_start.daemon.since.at, null);
    const next = remember(sample("2026-11-21T06:00:02.000Z", false), at_start);
    assert.is(next.daemon.since.at, null);
    assert.is(next.sessions[0]?.since.at, null);
  });

  test("what is down says what it was, until it is up again", () => {
    const [session] = judgeSessions(sessions, {}, null, 0);
    const [channel] = parseSessions(
      replyOf(
        [
          "1002-upstream   BGP        ---        up     2026-10-11    Established",
          "1006-  Channel ipv4",
          "     Routes:         12100 imported, 1 exported, 12000 preferred",
          "0000 ",
        ].join("\n"),
      ),
      null,
    ).flatMap(({ channels }) => channels);
    assert.ok(session && channel);
    const as = (at: string, state: BgpSession["state"], more: Partial<BgpSession> = {}): BgpSample => ({
      ...before,
      at,
      sessions: [{ ...session, state, since: { at, exact: true }, ...more }],
    });
    const up = as("2026-11-21T03:12:00.000Z", "established", {
      since: { at: "2026-10-11T03:12:00.000Z", exact: true },
      channels: [channel, { ...channel, family: "ipv6", imported: 4, exported: null }],
    });
    const was = { up_ms: 41 * 86_400_000, imported: 12_104, exported: 1 };
    const down = remember(as("2026-11-21T03:12:02.000Z", "idle"), up);
    assert.equal(down.sessions[0]?.was, was);
    const later = remember(as("2026-11-21T03:12:04.000Z", "active"), down);
    assert.equal(later.sessions[0]?.was, was);
    // The daemon stops answering: then too.
    const silent = remember(sample("2026-11-21T03:12:06.000Z", false), later);
    assert.equal(silent.sessions[0]?.was, was);
    assert.is(remember(as("2026-11-21T03:12:08.000Z", "established"), silent).sessions[0]?.was, null);
    const odd = { since: { at: null, exact: false }, channels: [] };
    const unknown = remember(
      as("2026-11-21T03:12:02.000Z", "idle"),
      as("2026-11-21T03:12:00.000Z", "established", odd),
    );
    assert.equal(unknown.sessions[0]?.was, { up_ms: null, imported: null, exported: null });
    assert.is(remember(as("2026-11-21T03:12:02.000Z", "idle"), before).sessions[0]?.was, null);
  });
});
