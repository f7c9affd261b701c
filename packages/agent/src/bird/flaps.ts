/**
 * How often each session went down in the last hour, from successive samples. A session that is up in two samples with
 * another Since went down in between and counts too. Bounded: only the last hour, and so many falls for each session.
 */
import type { BgpSince, BgpState } from "@muster/protocol/telemetry/bgp";

type SessionHistory = {
  readonly up: boolean;
  readonly since: BgpSince;
  readonly seen_ms: number;
  /** Instants at which it was found down after having been up. */
  readonly falls_ms: readonly number[];
};

export type FlapHistory = {
  readonly watched_since_ms: number;
  readonly sessions: ReadonlyMap<string, SessionHistory>;
};

export type Flapping = { readonly name: string; readonly state: BgpState; readonly since: BgpSince };

export const FLAP_WINDOW_MS = 3_600_000;
/**
 * One fall in an hour is what our own change or one line cut makes, and must not take the session out of the guard;
 * two are a pattern.
 */
export const FLAPPING_FROM = 2;
const MAX_FALLS = 100;
/** Two printed times of one event may differ by rounding. */
const SAME_INSTANT_MS = 1_500;

export function emptyFlaps(now_ms: number): FlapHistory {
  return { watched_since_ms: now_ms, sessions: new Map() };
}

/**
 * The history after one more sample. Give no sample for a time at which BIRD did not answer: silence of the control
 * socket is not a fall of its sessions. A session that is gone from the sample while it was up counts as fallen.
 */
export function advanceFlaps(history: FlapHistory, seen: readonly Flapping[], now_ms: number): FlapHistory {
  const sessions = new Map<string, SessionHistory>();
  for (const session of seen) {
    const before = history.sessions.get(session.name);
    const up = session.state === "established";
    const fell = before?.up === true && (!up || restarted(before.since, session.since));
    sessions.set(session.name, {
      up,
      since: session.since,
      seen_ms: now_ms,
      falls_ms: recent([...(before?.falls_ms ?? []), ...(fell ? [now_ms] : [])], now_ms),
    });
  }
  for (const [name, before] of history.sessions) {
    if (sessions.has(name)) continue;
    const falls_ms = recent(before.up ? [...before.falls_ms, now_ms] : before.falls_ms, now_ms);
    if (falls_ms.length > 0) sessions.set(name, { ...before, up: false, falls_ms });
  }
  return { watched_since_ms: history.watched_since_ms, sessions };
}

/** Falls in the last hour; null if we watch for less than that and saw none, so that 0 means an hour of quiet. */
export function flapCount(history: FlapHistory, name: string, now_ms: number): number | null {
  const falls = recent(history.sessions.get(name)?.falls_ms ?? [], now_ms).length;
  return falls === 0 && now_ms - history.watched_since_ms < FLAP_WINDOW_MS ? null : falls;
}

export function isFlapping(history: FlapHistory, name: string, now_ms: number): boolean {
  return (flapCount(history, name, now_ms) ?? 0) >= FLAPPING_FROM;
}

function recent(falls_ms: readonly number[], now_ms: number): number[] {
  return falls_ms.filter((at_ms) => at_ms > now_ms - FLAP_WINDOW_MS).slice(-MAX_FALLS);
}

/** Only exact times compare: a time that turned into a day after 20 hours is the same event. */
function restarted(before: BgpSince, after: BgpSince): boolean {
  if (!before.exact || !after.exact || before.at === null || after.at === null) return false;
  return Date.parse(after.at) - Date.parse(before.at) > SAME_INSTANT_MS;
}
