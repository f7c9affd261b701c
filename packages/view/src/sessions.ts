/** BGP sessions in the operator's words: what each is judged, red first, and how a red one is told in one line. Pure. */
import {
  type BgpSample,
  type BgpSession,
  type BgpVerdict,
  bgpColour,
  daemonTitle,
} from "@muster/protocol/telemetry/bgp";
import { durationText } from "./words.ts";

export type SessionRow = { readonly host: string; readonly session: BgpSession };

const WORDS: Record<BgpVerdict, string> = {
  ok: "ok",
  down: "DOWN",
  missing: "MISSING",
  imports_low: "TOO FEW ROUTES",
  not_exported: "NOT EXPORTED",
  pending: "pending",
  overdue: "OVERDUE",
  unexpected: "unexpected",
  disabled: "disabled",
  drained: "drained",
  ignored: "ignored",
  unknown: "UNKNOWN",
};
const RANK = { red: 0, amber: 1, green: 2, grey: 3 } as const;

/** What a session is judged, as a word. */
export const verdictText = (verdict: BgpVerdict): string => WORDS[verdict];

export const isRed = (session: BgpSession): boolean => bgpColour(session.verdict) === "red";

/** Sum over the channels that tell; null when none does. */
export function routeCount(session: BgpSession, direction: "imported" | "exported"): number | null {
  const known = session.channels.flatMap((channel) => channel[direction] ?? []);
  return known.length === 0 ? null : known.reduce((sum, count) => sum + count, 0);
}

/** How long `protocol_state` has held; null when the daemon does not say. About half a day wrong where only the day is known. */
export function sinceMs(session: BgpSession, now_ms: number): number | null {
  return session.since.at === null ? null : Math.max(0, now_ms - Date.parse(session.since.at));
}

/** `3 h 12 min`, `about 41 d` where the daemon printed only a date, `?`. */
export function sinceText(session: BgpSession, now_ms: number): string {
  const since_ms = sinceMs(session, now_ms);
  if (since_ms === null) return "?";
  return session.since.exact || since_ms < 86_400_000
    ? durationText(since_ms)
    : `about ${durationText(since_ms)}`;
}

/** Red first, then amber; else by host as given and in the daemon's order. */
export function sortedRows(rows: readonly SessionRow[]): SessionRow[] {
  return [...rows].sort(
    (one, other) => RANK[bgpColour(one.session.verdict)] - RANK[bgpColour(other.session.verdict)],
  );
}

export type SessionFilter = {
  readonly down: boolean;
  readonly flapping: boolean;
  readonly unexpected: boolean;
};

/** Whether a session is asked for; without any filter all are. `down` is everything red. */
export function matches(session: BgpSession, filter: SessionFilter): boolean {
  if (!filter.down && !filter.flapping && !filter.unexpected) return true;
  return (
    (filter.down && isRed(session)) ||
    (filter.flapping && (session.flaps ?? 0) > 0) ||
    (filter.unexpected && session.verdict === "unexpected")
  );
}

/** A routing daemon that does not answer has no sessions to show, and that must not look like health. */
export function daemonFault(sample: BgpSample, now_ms: number): string | null {
  const { daemon } = sample;
  if (daemon.reachable)
    return daemon.state === "shutting_down" ? `${daemonTitle(daemon.name)} is shutting down` : null;
  const { at } = daemon.since;
  const since = at === null ? "" : ` for ${durationText(Math.max(0, now_ms - Date.parse(at)))}`;
  return `${daemonTitle(daemon.name)} does not answer${since}${daemon.error === null ? "" : `: ${daemon.error}`}`;
}

/** `upstream DOWN 3 h 12 min: active, Socket: Connection refused`. */
export function redSessionText(session: BgpSession, now_ms: number): string {
  const since = sinceMs(session, now_ms) === null ? "" : ` ${sinceText(session, now_ms)}`;
  return `${session.name} ${verdictText(session.verdict)}${since}${session.why === "" ? "" : `: ${session.why}`}`;
}
