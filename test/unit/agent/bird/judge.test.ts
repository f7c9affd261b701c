/** Verdicts: absence is red, pending is amber until its day, and the sample reads back through its schema. */

import { readFileSync } from "node:fs";
import { BgpSample, bgpColour } from "@muster/protocol/telemetry/bgp";
import * as assert from "uvu/assert";
import { declaredSessions } from "../../../../packages/agent/src/bird/declared.ts";
import { birdFraming } from "../../../../packages/agent/src/bird/framing.ts";
import {
  type Expectations,
  judgeSessions,
  type ObservedSession,
} from "../../../../packages/agent/src/bird/judge.ts";
import { parseSessions } from "../../../../packages/agent/src/bird/protocols.ts";
import { unreachableDaemon } from "../../../../packages/agent/src/bird/status.ts";
import { NOTHING_BESIDE } from "../../../../packages/agent/src/bird/survey.ts";
import { transcript } from "../../../kit/fake-bird.ts";
import { suite } from "../../../kit/suite.ts";

const NOW_MS = Date.parse("2026-11-21T09:41:24Z");

function recorded(name = "show-protocols-all"): ObservedSession[] {
  const [event] = birdFraming(1 << 20).push(Buffer.from(transcript("2.0.12", name)));
  if (event?.kind !== "reply") throw new Error("no whole reply");
  return parseSessions(event.reply, null);
}

const DECLARED = declaredSessions(
  readFileSync(new URL("../../../transcripts/bird/2.0.12/bird.conf", import.meta.url), "utf8"),
).sessions;

function verdicts(expect: Expectations, seen: ObservedSession[] | null = recorded(), now_ms = NOW_MS) {
  const judged = judgeSessions(DECLARED, expect, seen, now_ms);
  return Object.fromEntries(judged.map((session) => [session.name, session.verdict]));
}

suite("bird judge", (test) => {
  test("every declared session is expected up without a further line", () => {
    assert.equal(verdicts({}), {
      upstream: "ok",
      a_session_with_a_very_long_name: "down",
      locix_rs1: "down",
      off1: "disabled",
      waiting: "down",
      students: "ok",
      bgp1: "disabled",
      student1: "ok",
    });
    const [, , locix] = judgeSessions(DECLARED, {}, recorded(), NOW_MS);
    assert.is(locix?.why, "active, Socket: Connection refused");
    assert.is(locix?.expected, "up");
  });

  test("declared and not there is missing and red; with BIRD silent all of them are", () => {
    const without = recorded().filter((session) => session.name !== "upstream");
    assert.is(verdicts({}, without).upstream, "missing");
    assert.is(bgpColour("missing"), "red");
    const silent = verdicts({}, null);
    assert.equal([silent.upstream, silent.locix_rs1, silent.students], ["missing", "missing", "missing"]);
    assert.is(silent.off1, "disabled");
    assert.is(judgeSessions(DECLARED, {}, null, NOW_MS)[0]?.neighbor_as, 64496);
  });

  test("pending is amber up to and with its day, red after it, and up is simply up", () => {
    const expect = { locix_rs1: { pending_until: "2026-11-21" }, upstream: { pending_until: "2026-01-01" } };
    assert.is(verdicts(expect).locix_rs1, "pending");
    assert.is(verdicts(expect, recorded(), Date.parse("2026-11-21T23:59:59Z")).locix_rs1, "pending");
    assert.is(verdicts(expect, recorded(), Date.parse("2026-11-22T00:00:00Z")).locix_rs1, "overdue");
    assert.is(verdicts(expect).upstream, "ok");
    assert.equal([bgpColour("pending"), bgpColour("overdue")], ["amber", "red"]);
  });

  test("imports below the minimum are red, all channels together", () => {
    assert.is(verdicts({ upstream: { import_min: 3 } }).upstream, "ok");
    assert.is(verdicts({ upstream: { import_min: 4 } }).upstream, "imports_low");
  });

  test("expected exports: looked up, or known to be none", () => {
    const own = "2001:db8:5000::/48";
    const with_exports = (sent: Record<string, boolean | null>) =>
      recorded().map((session) => (session.name === "upstream" ? { ...session, sent } : session));
    const expect = { upstream: { export: [own] } };
    assert.is(verdicts(expect, with_exports({ [own]: true })).upstream, "ok");
    assert.is(verdicts(expect, with_exports({ [own]: false })).upstream, "not_exported");
    assert.is(verdicts(expect).upstream, "ok");
    const none = recorded().map((session) => ({
      ...session,
      channels: session.channels.map((channel) => ({ ...channel, exported: 0 })),
    }));
    assert.is(verdicts(expect, none).upstream, "not_exported");
    const [judged] = judgeSessions(DECLARED, {}, with_exports({ [own]: false }), NOW_MS);
    // Nobody asked for it: it is told, and not held against the session.
    assert.equal([judged?.verdict, judged?.exports], ["ok", [{ prefix: own, exported: false }]]);
  });

  test("not declared is amber, a child of a dynamic one is not, ignored is grey", () => {
    const extra = recorded().map((session) =>
      session.name === "off1" ? { ...session, name: "by_hand" } : session,
    );
    assert.is(verdicts({}, extra).by_hand, "unexpected");
    assert.is(bgpColour("unexpected"), "amber");
    assert.is(verdicts({ by_hand: { ignore: true } }, extra).by_hand, "ignored");
    assert.is(verdicts({ locix_rs1: { ignore: true } }).locix_rs1, "ignored");
  });

  test("a name that only `expect` knows is red, not forgotten", () => {
    const judged = judgeSessions(DECLARED, { tpyo: { import_min: 1 } }, recorded(), NOW_MS);
    const found = judged.find((session) => session.name === "tpyo");
    assert.is(found?.verdict, "missing");
    assert.match(found?.why ?? "", /does not declare/);
  });

  test("the sample goes through its schema; a newer writer's words are unknown and red", () => {
    const sample = {
      at: new Date(NOW_MS).toISOString(),
      daemon: unreachableDaemon("no such file"),
      sessions: judgeSessions(DECLARED, {}, recorded(), NOW_MS),
      ...NOTHING_BESIDE,
    };
    assert.equal(BgpSample.parse(JSON.parse(JSON.stringify(sample))), sample);
    const [first] = sample.sessions;
    const newer = { ...sample, later: 1, sessions: [{ ...first, verdict: "splendid", state: "dreaming" }] };
    const read = BgpSample.parse(newer).sessions[0];
    assert.equal([read?.verdict, read?.state], ["unknown", "unknown"]);
    assert.is(bgpColour(read?.verdict ?? "ok"), "red");
  });
});
