/**
 * The guard of a BIRD change: what worked before must work after it. It holds the sessions that exist before and after,
 * are up before, did not flap in the last hour and are not dynamic, and of those the imported routes of each channel.
 * A fall of more than a tenth fails; more routes than before do not, since they cut nobody off and limits catch leaks.
 */
import { type DeclaredBird, type DeclaredSession, isDynamicChild } from "./declared.ts";
import { successorOf } from "./resets.ts";
import type { SeenSession } from "./session.ts";

type ChannelBaseline = { readonly family: string; readonly imported: number | null };

export type GuardedSession = {
  /** Its name before the change. */
  readonly session: string;
  /** Its name after the change. */
  readonly after: string;
  readonly channels: readonly ChannelBaseline[];
};

/** Plain data: it is kept on disk beside the armed undo. */
export type GuardBaseline = {
  readonly guarded: readonly GuardedSession[];
  /** Sessions left out, and why, for the plan. */
  readonly unguarded: readonly { readonly session: string; readonly why: string }[];
};

export type GuardFailure = {
  readonly session: string;
  readonly what: "missing" | "down" | "imports";
  readonly before: number | null;
  readonly now: number | null;
  /** For the operator, as "upstream imported 182,301, now 12 (guard: within 10 %)". */
  readonly sentence: string;
};

export type GuardResult = { readonly ok: boolean; readonly failures: readonly GuardFailure[] };

const FLAPPED = "flapped in the last hour";
const REMOVED = "not in the new configuration";
const IMPORT_SHARE = 0.1;

/**
 * @param before the sessions as BIRD shows them just before the change
 * @param isFlapping by the session's name; see flaps.ts
 */
export function guardBaseline(
  before: readonly SeenSession[],
  declared: { readonly before: DeclaredBird; readonly after: DeclaredBird },
  isFlapping: (name: string) => boolean,
): GuardBaseline {
  const guarded: GuardedSession[] = [];
  const unguarded: { session: string; why: string }[] = [];
  for (const seen of before) {
    const old = declared.before.sessions.find((session) => session.name === seen.name);
    const successor =
      old === undefined ? null : successorOf(old, declared.after.sessions, declared.before.sessions);
    const why =
      whyUnguarded(seen, old, successor, declared.before) ?? (isFlapping(seen.name) ? FLAPPED : null);
    if (why !== null || successor === null) {
      unguarded.push({ session: seen.name, why: why ?? REMOVED });
      continue;
    }
    const channels = seen.channels.map(({ family, imported }) => ({ family, imported }));
    guarded.push({ session: seen.name, after: successor.name, channels });
  }
  return { guarded, unguarded };
}

function whyUnguarded(
  seen: SeenSession,
  old: DeclaredSession | undefined,
  successor: DeclaredSession | null,
  before: DeclaredBird,
): string | null {
  if (seen.dynamic || old?.dynamic === true) return "dynamic";
  if (before.sessions.some((session) => isDynamicChild(session, seen.name))) return "dynamic";
  if (old === undefined) return "not declared before";
  if (successor === null) return REMOVED;
  if (successor.disabled) return "disabled by the new configuration";
  return seen.state === "established" ? null : "was not up";
}

/** Compares now with the baseline; `now` null = BIRD does not answer, and then every guarded session fails. */
export function evaluateGuard(baseline: GuardBaseline, now: readonly SeenSession[] | null): GuardResult {
  const failures = baseline.guarded.flatMap((session) => compare(session, now));
  return { ok: failures.length === 0, failures };
}

function compare(guarded: GuardedSession, now: readonly SeenSession[] | null): GuardFailure[] {
  const { session } = guarded;
  const seen = now?.find((candidate) => candidate.name === guarded.after);
  if (seen === undefined) {
    const sentence =
      now === null ? `${session} was up, now BIRD does not answer` : `${session} was up, now it is gone`;
    return [{ session, what: "missing", before: null, now: null, sentence }];
  }
  if (seen.state !== "established") {
    const error = seen.last_error === null ? "" : `, ${seen.last_error}`;
    return [
      {
        session,
        what: "down",
        before: null,
        now: null,
        sentence: `${session} was up, now ${seen.state}${error}`,
      },
    ];
  }
  return guarded.channels.flatMap((channel): GuardFailure[] => {
    const before = channel.imported;
    if (before === null) return [];
    const imported = seen.channels.find((candidate) => candidate.family === channel.family)?.imported ?? null;
    if (imported !== null && before - imported <= allowedLoss(before)) return [];
    const name = guarded.channels.length > 1 ? `${session} ${channel.family}` : session;
    const shown = imported === null ? "unknown" : grouped(imported);
    const sentence = `${name} imported ${grouped(before)}, now ${shown} (guard: within 10 %)`;
    return [{ session, what: "imports", before, now: imported, sentence }];
  });
}

/** Rounded down: of fewer than ten routes none may be lost. */
function allowedLoss(before: number): number {
  return Math.floor(before * IMPORT_SHARE);
}

function grouped(count: number): string {
  return count.toLocaleString("en-US");
}
