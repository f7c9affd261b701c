/** The guard: who is guarded, for how long, and what fails it. */
import * as assert from "uvu/assert";
import { declaredSessions } from "../../../../packages/agent/src/bird/declared.ts";
import { birdFraming } from "../../../../packages/agent/src/bird/framing.ts";
import { evaluateGuard, guardBaseline } from "../../../../packages/agent/src/bird/guard.ts";
import { parseSessions } from "../../../../packages/agent/src/bird/protocols.ts";
import { guardWindow } from "../../../../packages/agent/src/bird/resets.ts";
import type { SeenSession } from "../../../../packages/agent/src/bird/session.ts";
import { transcript } from "../../../kit/fake-bird.ts";
import { suite } from "../../../kit/suite.ts";

const CONF = `
router id 10.0.0.1;
include "/etc/bird/muster.conf";
filter from_peer { if net ~ [ 2001:db8:5000::/36+ ] then reject; accept; }
template bgp peer { local as 64500; hold time 90; }
protocol bgp upstream from peer {
  description "Transit"; neighbor fe80::1%eth0 as 64496; password "old secret";
  ipv6 { import filter from_peer; export where net ~ [ 2001:db8::/32{48,48} ]; import limit 100 action block; };
}
protocol bgp limited from peer { neighbor 2001:db8::9 as 64510; ipv6 { import all; export none; }; }
protocol bgp students from peer { neighbor range 2001:db8:1::/64 external; ipv6 { import all; export none; }; }`;

const OLD = declaredSessions(CONF);
const changed = (from: string | RegExp, to: string) => {
  const text = CONF.replace(from, to);
  if (text === CONF) throw new Error(`nothing changed: ${from}`);
  return declaredSessions(text);
};
const windowOf = (from: string | RegExp, to: string) => guardWindow(OLD, changed(from, to));

function seen(): SeenSession[] {
  const [event] = birdFraming(1 << 20).push(Buffer.from(transcript("2.16.1", "show-protocols-all")));
  if (event?.kind !== "reply") throw new Error("no whole reply");
  return parseSessions(event.reply, null);
}

function withImports(imported: number | null, before = seen()): SeenSession[] {
  return before.map((session) =>
    session.name === "upstream"
      ? { ...session, channels: session.channels.map((channel) => ({ ...channel, imported })) }
      : session,
  );
}

const quiet = () => false;
const baseline = (before = seen()) => guardBaseline(before, { before: OLD, after: OLD }, quiet);

suite("bird guard", (test) => {
  test("the window is 60 s for what reloads in place", () => {
    const in_place: readonly (readonly [string | RegExp, string])[] = [
      ["then reject; accept;", "then accept; reject;"],
      ["import filter from_peer", "import none"],
      ["import limit 100", "import limit 200"],
      ["{48,48}", "{44,48}"],
      ['"Transit"', '"Transit of Alice"'],
      ["router id", "# a remark\nrouter id"],
      ["description", "disabled; description"],
    ];
    for (const [from, to] of in_place)
      assert.equal(windowOf(from, to), { window_s: 60, resets: [] }, String(to));
  });

  test("and 300 s for what resets a session, with the reason and without the password", () => {
    const one = (from: string | RegExp, to: string) =>
      windowOf(from, to)
        .resets.map((reset) => reset.session)
        .join();
    assert.is(windowOf("old secret", "new secret").window_s, 300);
    assert.equal(windowOf("old secret", "new secret").resets, [
      { session: "upstream", why: "the password changed" },
    ]);
    assert.is(one("hold time 90", "hold time 30"), "upstream,limited,students");
    assert.is(one(/local as 64500/, "local as 64501"), "upstream,limited,students");
    assert.is(one("router id 10.0.0.1", "router id 10.0.0.2"), "upstream,limited,students");
    assert.is(one("ipv6 { import filter", "next hop self; ipv6 { import filter"), "upstream");
    assert.is(one("{ import filter", "{ next hop self; import filter"), "upstream");
    assert.is(one("{ import filter", "{ import keep filtered; import filter"), "upstream");
    assert.is(one("export none; };", "export none; }; ipv4 { import none; export none; };"), "limited");
    assert.is(one("protocol bgp upstream", "protocol bgp transit"), "upstream");
  });

  test("guarded: there before and after, up, quiet, not dynamic", () => {
    assert.equal(
      baseline().guarded.map((session) => session.session),
      ["upstream"],
    );
    assert.equal(baseline().unguarded, [{ session: "limited", why: "was not up" }]);
    const removed = guardBaseline(
      seen(),
      { before: OLD, after: changed(/bgp upstream([\s\S]*)fe80::1%eth0/, "bgp transit$1fe80::2%eth0") },
      quiet,
    );
    assert.equal(removed.guarded, []);
    const off = guardBaseline(
      seen(),
      { before: OLD, after: changed("description", "disabled; description") },
      quiet,
    );
    assert.is(off.unguarded[0]?.why, "disabled by the new configuration");
    const flapping = guardBaseline(seen(), { before: OLD, after: OLD }, (name) => name === "upstream");
    assert.is(flapping.unguarded[0]?.why, "flapped in the last hour");
    const child = seen().map((session) => ({ ...session, name: "dynbgp1" }));
    assert.is(guardBaseline(child, { before: OLD, after: OLD }, quiet).unguarded[0]?.why, "dynamic");
  });

  test("a renamed session is followed by neighbour and AS", () => {
    const renamed = guardBaseline(
      seen(),
      { before: OLD, after: changed("bgp upstream", "bgp transit") },
      quiet,
    );
    assert.is(renamed.guarded[0]?.after, "transit");
    const now = seen().map((session) =>
      session.name === "upstream" ? { ...session, name: "transit" } : session,
    );
    assert.is(evaluateGuard(renamed, now).ok, true);
    assert.is(evaluateGuard(renamed, seen()).failures[0]?.what, "missing");
  });

  test("one that kept its name with another neighbour or AS is the same session, and resets", () => {
    const after = changed(/fe80::1%eth0/, "fe80::2%eth0");
    const moved = guardBaseline(seen(), { before: OLD, after }, quiet);
    assert.is(moved.guarded[0]?.after, "upstream");
    assert.is(guardWindow(OLD, after).resets[0]?.session, "upstream");
  });

  test("a name that now stands for another session of before is not taken for the same", () => {
    const two = (one: string, other: string) =>
      declaredSessions(
        `protocol bgp one { neighbor ${one} as 1; local as 2; }\n${other === "" ? "" : `protocol bgp other { neighbor ${other} as 1; local as 2; }`}`,
      );
    const [upstream] = seen();
    if (upstream === undefined) throw new Error("no session");
    const swapped = guardBaseline(
      [{ ...upstream, name: "one" }],
      { before: two("fe80::1", "fe80::2"), after: two("fe80::2", "") },
      quiet,
    );
    assert.equal(swapped.guarded, []);
  });

  test("the sentence of a loss of prefixes", () => {
    const { ok, failures } = evaluateGuard(baseline(), withImports(12));
    assert.is(ok, false);
    assert.is(failures[0]?.sentence, "upstream imported 182,301, now 12 (guard: within 10 %)");
    assert.equal([failures[0]?.before, failures[0]?.now, failures[0]?.what], [182301, 12, "imports"]);
  });

  test("a tenth may go, one more may not, more may come, and of few none may go", () => {
    const check = (before: number, now: number | null) =>
      evaluateGuard(baseline(withImports(before)), withImports(now)).ok;
    assert.equal([check(100, 90), check(100, 89), check(100, 500)], [true, false, true]);
    assert.equal(
      [check(10, 9), check(9, 8), check(9, 9), check(1, 0), check(0, 0)],
      [true, false, true, false, true],
    );
    assert.is(check(100, null), false);
  });

  test("down, gone and a silent BIRD fail with the daemon's words", () => {
    const down = seen().map((session) => ({
      ...session,
      state: "active" as const,
      last_error: "Socket: Connection refused",
    }));
    assert.is(
      evaluateGuard(baseline(), down).failures[0]?.sentence,
      "upstream was up, now active, Socket: Connection refused",
    );
    assert.is(evaluateGuard(baseline(), []).failures[0]?.sentence, "upstream was up, now it is gone");
    assert.is(
      evaluateGuard(baseline(), null).failures[0]?.sentence,
      "upstream was up, now BIRD does not answer",
    );
    assert.is(evaluateGuard(baseline(), seen()).ok, true);
  });
});
