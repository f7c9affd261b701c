/** Since when a session is gone and a daemon silent: from the first sample that saw it, over all that follow. */
import * as assert from "uvu/assert";
import { declaredSessions } from "../../../../packages/agent/src/bird/declared.ts";
import { judgeSessions } from "../../../../packages/agent/src/bird/judge.ts";
import { remember } from "../../../../packages/agent/src/bird/remember.ts";
import { unreachableDaemon } from "../../../../packages/agent/src/bird/status.ts";
import type { BgpSample } from "../../../../packages/protocol/src/telemetry/bgp.ts";
import { suite } from "../../../kit/suite.ts";

const { sessions } = declaredSessions("protocol bgp upstream { neighbor 2001:db8::1 as 64496; }");
const sample = (at: string, reachable: boolean): BgpSample => ({
  at,
  daemon: { ...unreachableDaemon("no socket"), reachable },
  sessions: judgeSessions(sessions, {}, reachable ? [] : null, Date.parse(at)),
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
});
