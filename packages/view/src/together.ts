/**
 * Which sessions go down with which: what fell within seconds of each other fell for one reason, and who fell together more than once hangs on the same
 * thing. Told by the events that are kept; a person draws the conclusion. Pure.
 */
import type { HostEvent } from "./model.ts";

/** What hold timers and the hosts' clocks make of one instant. */
const WINDOW_MS = 30_000;
/** Of more sessions at once everything fell, and pairs say nothing. */
const PAIRED = 40;

export type Fallen = { readonly host: string; readonly session: string };
/** At one time, at least two sessions. */
export type Fall = { readonly at: number; readonly sessions: readonly Fallen[] };
/** `times` of `of`: how often the one that fell more seldom fell with the other. */
export type Pair = {
  readonly one: Fallen;
  readonly other: Fallen;
  readonly times: number;
  readonly of: number;
};
export type Together = {
  /** Newest first. */
  readonly falls: readonly Fall[];
  /** More than once together; the most often first. */
  readonly pairs: readonly Pair[];
  /** How often each fell, by `host session`; the most often first. */
  readonly counts: readonly (Fallen & { readonly times: number })[];
};

/** Limits and verdicts make events of a session as well. One that was taken down on purpose is `info`; an older agent tells no state. */
const isFall = ({ state, severity, what }: HostEvent["event"]) =>
  severity !== "info" && (state === undefined ? /\bwent down\b/.test(what) : state !== "established");

const keyOf = ({ host, session }: Fallen) => `${host} ${session}`;

export function together(events: readonly HostEvent[]): Together {
  const downs = events
    .flatMap(({ host, event }) =>
      event.kind === "session" && event.session !== undefined && isFall(event)
        ? [{ host, session: event.session, at: event.at }]
        : [],
    )
    .sort((one, other) => one.at - other.at);
  const groups: { at: number; sessions: Map<string, Fallen> }[] = [];
  for (const { at, host, session } of downs) {
    const newest = groups.at(-1);
    const fallen = { host, session };
    if (newest !== undefined && at - newest.at <= WINDOW_MS) newest.sessions.set(keyOf(fallen), fallen);
    else groups.push({ at, sessions: new Map([[keyOf(fallen), fallen]]) });
  }
  const counts = new Map<string, Fallen & { times: number }>();
  const pairs = new Map<string, { one: Fallen; other: Fallen; times: number }>();
  for (const { sessions } of groups) {
    for (const [key, fallen] of sessions)
      counts.set(key, { ...fallen, times: (counts.get(key)?.times ?? 0) + 1 });
    if (sessions.size > PAIRED) continue;
    const sorted = [...sessions.values()].sort((one, other) => (keyOf(one) < keyOf(other) ? -1 : 1));
    for (const [index, one] of sorted.entries())
      for (const other of sorted.slice(index + 1)) {
        const key = `${keyOf(one)} ${keyOf(other)}`;
        pairs.set(key, { one, other, times: (pairs.get(key)?.times ?? 0) + 1 });
      }
  }
  const timesOf = (fallen: Fallen) => counts.get(keyOf(fallen))?.times ?? 0;
  return {
    falls: groups
      .flatMap(({ at, sessions }) => (sessions.size < 2 ? [] : [{ at, sessions: [...sessions.values()] }]))
      .reverse(),
    pairs: [...pairs.values()]
      .filter(({ times }) => times > 1)
      .map((pair) => ({ ...pair, of: Math.min(timesOf(pair.one), timesOf(pair.other)) }))
      .sort((one, other) => other.times / other.of - one.times / one.of || other.times - one.times),
    counts: [...counts.values()].sort((one, other) => other.times - one.times),
  };
}
