/**
 * How often each session went down in the last hour, from successive samples. A session that is up in two samples with
 * another Since went down in between and counts too. Bounded: only the last hour, and so many falls for each session.
 */
import type { BgpSince, BgpState } from "@muster/protocol/telemetry/bgp";

type SessionHistory = {
  readonly up: boolean;
  readonly since: BgpSince;
  /** Instants at which it was found down after having been up. */
  readonly falls_ms: readonly number[];
};

/** One instant by both clocks: of the day, which may be set, and of a stopwatch, which may not. */
export type Instants = { readonly day_ms: number; readonly steady_ms: number };

export type FlapHistory = {
  /** As of the last sample. */
  readonly clocks: Instants;
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
/** What a clock that is kept gains or loses between two samples is less. */
const CLOCK_SET_MS = 500;

export function emptyFlaps(clocks: Instants): FlapHistory {
  return { clocks, watched_since_ms: clocks.day_ms, sessions: new Map() };
}

/**
 * The history after one more sample. Give no sample for a time at which BIRD did not answer: silence of the control
 * socket is not a fall of its sessions. A session that is gone from the sample while it was up counts as fallen.
 * BIRD and FRR count from a stopwatch and print by the clock, so that with a clock that is set each Since moves; GoBGP notes the clock, and none does. Neither
 * has fallen.
 */
export function advanceFlaps(past: FlapHistory, seen: readonly Flapping[], clocks: Instants): FlapHistory {
  const history = withClockOf(past, clocks);
  const now_ms = clocks.day_ms;
  const sessions = new Map<string, SessionHistory>();
  for (const session of seen) {
    const before = history.sessions.get(session.name);
    const up = session.state === "established";
    const noted = past.sessions.get(session.name)?.since;
    const again =
      before !== undefined &&
      noted !== undefined &&
      restarted(before.since, session.since) &&
      restarted(noted, session.since);
    const fell = before?.up === true && (!up || again);
    sessions.set(session.name, {
      up,
      since: session.since,
      falls_ms: recent([...(before?.falls_ms ?? []), ...(fell ? [now_ms] : [])], now_ms),
    });
  }
  for (const [name, before] of history.sessions) {
    if (sessions.has(name)) continue;
    const falls_ms = recent(before.up ? [...before.falls_ms, now_ms] : before.falls_ms, now_ms);
    if (falls_ms.length > 0) sessions.set(name, { ...before, up: false, falls_ms });
  }
  return { clocks, watched_since_ms: history.watched_since_ms, sessions };
}

/** The history as if the clock had always been as it is set now. */
function withClockOf(history: FlapHistory, { day_ms, steady_ms }: Instants): FlapHistory {
  const by_ms = day_ms - history.clocks.day_ms - (steady_ms - history.clocks.steady_ms);
  if (Math.abs(by_ms) < CLOCK_SET_MS) return history;
  const moved = ({ at, exact }: BgpSince): BgpSince =>
    at === null ? { at, exact } : { at: new Date(Date.parse(at) + by_ms).toISOString(), exact };
  const sessions = [...history.sessions].map(([name, session]): [string, SessionHistory] => [
    name,
    {
      ...session,
      since: moved(session.since),
      falls_ms: session.falls_ms.map((at_ms) => at_ms + by_ms),
    },
  ]);
  return {
    ...history,
    watched_since_ms: history.watched_since_ms + by_ms,
    sessions: new Map(sessions),
  };
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
