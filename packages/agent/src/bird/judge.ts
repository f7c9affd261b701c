/**
 * Expectation against observation: what is declared, what `expect` adds, what BIRD shows. Every declared session comes
 * out, seen or not, so that absence has a row and a colour.
 */
import type { BgpSession, BgpVerdict } from "@muster/protocol/telemetry/bgp";
import { type DeclaredSession, isDynamicChild } from "./declared.ts";
import { type SeenSession, unsaid } from "./session.ts";
import { UNKNOWN_SINCE } from "./since.ts";

/** What a fleet folder says of one session beyond its being declared. */
export type Expectation = {
  /** Fewest imported routes, over all channels. */
  readonly import_min?: number | undefined;
  /** Prefixes that must be exported to the peer. */
  readonly export?: readonly string[] | undefined;
  /** Last day on which it may be down: YYYY-MM-DD, in UTC. */
  readonly pending_until?: string | undefined;
  /** Nothing is asked of it. */
  readonly ignore?: boolean | undefined;
};

export type Expectations = { readonly [session: string]: Expectation };

/** A session as seen, with what the collector adds to the daemon's own words. */
export type ObservedSession = SeenSession & {
  readonly flaps?: number | null;
  /** Of the expected exports and our own prefixes: true exported, false not, null could not be told; absent = not asked. */
  readonly sent?: Readonly<Record<string, boolean | null>>;
};

/**
 * @param seen null if BIRD did not answer: then every expected session is missing
 * @param now_ms for the day of `pending_until`
 * @param daemon its name in sentences
 * @returns declared sessions in their order, then those that nobody declared
 */
export function judgeSessions(
  declared: readonly DeclaredSession[],
  expect: Expectations,
  seen: readonly ObservedSession[] | null,
  now_ms: number,
  daemon = "BIRD",
): BgpSession[] {
  const by_name = new Map((seen ?? []).map((session) => [session.name, session]));
  const judged = declared.map((session) => {
    const found = by_name.get(session.name);
    by_name.delete(session.name);
    const observed = found ?? missingSession(session);
    return judgeOne(
      session,
      expect[session.name] ?? {},
      observed,
      found !== undefined,
      seen === null,
      now_ms,
      daemon,
    );
  });
  for (const [name, expectation] of Object.entries(expect)) {
    if (declared.some((session) => session.name === name) || expectation.ignore === true) continue;
    const found = by_name.get(name);
    by_name.delete(name);
    const unwritten = undeclared(name);
    const observed = found ?? missingSession(unwritten);
    judged.push(
      judgeOne(unwritten, expectation, observed, found !== undefined, seen === null, now_ms, daemon),
    );
  }
  for (const session of by_name.values()) judged.push(judgeUndeclared(session, declared, expect, daemon));
  return judged;
}

function judgeOne(
  declared: DeclaredSession,
  expectation: Expectation,
  observed: ObservedSession,
  found: boolean,
  silent: boolean,
  now_ms: number,
  daemon: string,
): BgpSession {
  const up = observed.state === "established";
  const say = (verdict: BgpVerdict, why: string, expected: BgpSession["expected"] = "up"): BgpSession => ({
    ...bare(observed),
    dynamic: observed.dynamic || declared.dynamic,
    was: null,
    flaps: observed.flaps ?? null,
    expected,
    verdict,
    why,
    import_min: expectation.import_min ?? null,
    pending_until: expectation.pending_until ?? null,
    exports: exportsOf(observed),
    exports_missing: missingExports(expectation, observed),
  });
  if (expectation.ignore === true) return say("ignored", "ignored by `expect`", "none");
  if (declared.disabled) return say("disabled", "disabled in the configuration", "none");
  const until = expectation.pending_until;
  if (!up && until !== undefined && !declared.dynamic) {
    return pendingDay(now_ms) <= until
      ? say("pending", `ordered, may be down until ${until}`, "pending")
      : say("overdue", `should have been up by ${until}${ownWords(observed)}`);
  }
  if (!found) return say("missing", whyMissing(declared, silent, daemon));
  if (declared.dynamic) {
    // A listener is never established itself; it works as long as it listens.
    return observed.state === "passive"
      ? say("ok", "", "none")
      : say("down", `does not listen for peers${ownWords(observed)}`);
  }
  if (!up) return say("down", `${observed.state}${ownWords(observed)}`);
  const imported = routeCount(observed, "imported");
  if (expectation.import_min !== undefined && (imported ?? 0) < expectation.import_min) {
    return say(
      "imports_low",
      `imported ${imported ?? "unknown"}, at least ${expectation.import_min} expected`,
    );
  }
  const unexported = missingExports(expectation, observed) ?? [];
  if (unexported.length > 0) return say("not_exported", `not exported: ${unexported.join(", ")}`);
  return say("ok", "");
}

function judgeUndeclared(
  session: ObservedSession,
  declared: readonly DeclaredSession[],
  expect: Expectations,
  daemon: string,
): BgpSession {
  const parent = declared.find((candidate) => isDynamicChild(candidate, session.name));
  // One with an address was made by a listener, which FRR and GoBGP do not show as a session of its own.
  const made = parent !== undefined || (session.dynamic && session.neighbor_range === null);
  const ignored = expect[session.name]?.ignore === true;
  return {
    ...bare(session),
    dynamic: session.dynamic || made,
    was: null,
    flaps: session.flaps ?? null,
    expected: "none",
    verdict: ignored ? "ignored" : made ? "ok" : "unexpected",
    why: ignored
      ? "ignored by `expect`"
      : made
        ? ""
        : `${daemon} has it, the configuration does not declare it`,
    import_min: null,
    pending_until: null,
    exports: exportsOf(session),
    exports_missing: null,
  };
}

const exportsOf = ({ sent }: ObservedSession): BgpSession["exports"] =>
  Object.entries(sent ?? {}).map(([prefix, exported]) => ({ prefix, exported }));

/** All channels together; null if none of them tells. */
export function routeCount(
  session: Pick<BgpSession, "channels">,
  direction: "imported" | "exported",
): number | null {
  const known = session.channels.flatMap((channel) => channel[direction] ?? []);
  return known.length === 0 ? null : known.reduce((sum, count) => sum + count, 0);
}

/** A session that exports nothing exports none of the prefixes, whether they were looked up or not. */
function missingExports(expectation: Expectation, observed: ObservedSession): string[] | null {
  const wanted = expectation.export;
  if (wanted === undefined) return null;
  const { sent } = observed;
  if (sent !== undefined) return wanted.filter((prefix) => sent[prefix] === false);
  const counts = observed.channels.map((channel) => channel.exported);
  return counts.length > 0 && counts.every((count) => count === 0) ? [...wanted] : null;
}

/** The stand-in for a session that only `expect` names has no statements. */
function whyMissing(declared: DeclaredSession, silent: boolean, daemon: string): string {
  if (silent) return `${daemon} does not answer`;
  return declared.statements.length === 0
    ? "`expect` names it, but the configuration does not declare it"
    : `declared, but ${daemon} does not have it`;
}

function ownWords(session: SeenSession): string {
  return (
    (session.last_error === null ? "" : `, ${session.last_error}`) +
    (session.message ? `, "${session.message}"` : "")
  );
}

function pendingDay(now_ms: number): string {
  return new Date(now_ms).toISOString().slice(0, 10);
}

function bare(session: ObservedSession): SeenSession {
  const { flaps: _flaps, sent: _sent, ...rest } = session;
  return rest;
}

function undeclared(name: string): DeclaredSession {
  return {
    name,
    neighbor: null,
    as: null,
    dynamic: false,
    dynamic_name: null,
    disabled: false,
    external: true,
    statements: [],
  };
}

function missingSession(declared: DeclaredSession): ObservedSession {
  return {
    ...unsaid({
      name: declared.name,
      state: "down",
      protocol_state: "missing",
      since: UNKNOWN_SINCE,
      info: null,
    }),
    neighbor_address: declared.dynamic ? null : declared.neighbor,
    neighbor_range: declared.dynamic ? declared.neighbor : null,
    neighbor_as: declared.as,
    dynamic: declared.dynamic,
  };
}

/** As seen, before anything is expected of it. */
export function unjudged(session: SeenSession, flaps: number | null): BgpSession {
  return {
    ...session,
    was: null,
    flaps,
    expected: "none",
    verdict: "unknown",
    why: "not judged yet",
    import_min: null,
    pending_until: null,
    exports: [],
    exports_missing: null,
  };
}
