/**
 * BIRD prints times in its own time zone without naming it, and by default without the day for 20 hours and without the
 * time of day afterwards. The zone follows from `show status`: what BIRD calls now against what the host calls now.
 * Zones are multiples of 15 minutes, so the derived instant of one event is the same in every sample. A change to or
 * from summer time between the event and now shifts a full local time by that hour; nothing in the reply tells.
 */
import type { BgpSince } from "@muster/protocol/telemetry/bgp";

/** BIRD's wall clock: `local_ms` is its current time read as if it were UTC, `offset_ms` that minus the true UTC. */
export type BirdClock = { readonly local_ms: number; readonly offset_ms: number };

export const UNKNOWN_SINCE: BgpSince = { at: null, exact: false };

/** The end of the year 9999. */
const MOST_MS = 253_402_300_799_999;

/** The instant that a daemon tells by a number; one that no clock shows is not known. */
export const exactSince = (ms: number): BgpSince =>
  ms >= 0 && ms <= MOST_MS ? { at: new Date(ms).toISOString(), exact: true } : UNKNOWN_SINCE;

const QUARTER_MS = 15 * 60_000;
const DAY_MS = 86_400_000;

/**
 * @param server_time "Current server time" of `show status`; @param now_ms the host's clock when it was read
 * @returns null if the text is in a form of its own (a configured `timeformat base`) that names no day
 */
export function birdClock(server_time: string, now_ms: number): BirdClock | null {
  const epoch_ms = epoch(server_time);
  if (epoch_ms !== null) return { local_ms: epoch_ms, offset_ms: 0 };
  const local_ms = fullTime(server_time)?.ms;
  if (local_ms === undefined) return null;
  return { local_ms, offset_ms: Math.round((local_ms - now_ms) / QUARTER_MS) * QUARTER_MS };
}

/**
 * The instant that a printed time means. Takes `HH:MM[:SS[.mmm]]`, a day, day and time, and seconds of the epoch
 * (`timeformat "%s"`). A day alone gives its start, `exact: false`; text in another form gives `at: null`.
 */
export function sinceInstant(text: string, clock: BirdClock | null): BgpSince {
  const epoch_ms = epoch(text);
  if (epoch_ms !== null) return exactSince(epoch_ms);
  if (clock === null) return UNKNOWN_SINCE;
  const full = fullTime(text);
  if (full !== null) return { at: iso(full.ms, clock), exact: full.exact };
  const match = /^(\d{2}):(\d{2})(?::(\d{2}(?:\.\d+)?))?$/.exec(text.trim());
  if (match === null) return UNKNOWN_SINCE;
  const [, hours = "", minutes = "", seconds] = match;
  const day_ms = Math.floor(clock.local_ms / DAY_MS) * DAY_MS;
  const of_day_ms = (Number(hours) * 60 + Number(minutes)) * 60_000 + Math.round(Number(seconds ?? 0) * 1000);
  const today_ms = day_ms + of_day_ms;
  // The row may be printed up to some seconds after `show status`: only what is clearly ahead was yesterday.
  const at_ms = today_ms > clock.local_ms + 60_000 ? today_ms - DAY_MS : today_ms;
  return { at: iso(at_ms, clock), exact: seconds !== undefined };
}

function epoch(text: string): number | null {
  return /^\d{9,11}(\.\d+)?$/.test(text.trim()) ? Math.round(Number(text) * 1000) : null;
}

function fullTime(text: string): { ms: number; exact: boolean } | null {
  const match = /^(\d{4}-\d{2}-\d{2})(?:[ T](\d{2}:\d{2}:\d{2})(?:\.(\d{1,6}))?)?$/.exec(text.trim());
  if (match === null) return null;
  const [, day = "", time, fraction = ""] = match;
  const ms = Date.parse(`${day}T${time ?? "00:00:00"}Z`);
  if (Number.isNaN(ms)) return null;
  return { ms: ms + Number(fraction.padEnd(3, "0").slice(0, 3)), exact: time !== undefined };
}

function iso(local_ms: number, clock: BirdClock): string {
  return new Date(local_ms - clock.offset_ms).toISOString();
}
