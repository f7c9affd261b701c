/** `ctl.history`: what stream HISTORY holds of one host, page by page, without a consumer. */
import type { Bus } from "@muster/ports/bus";
import type { Grant } from "@muster/protocol";
import type { ControlReply, ControlRequest } from "@muster/protocol/control/index";
import { FleetError, parseJson } from "@muster/protocol/errors";
import {
  type HistoryKind,
  HistoryMessage,
  type Point,
  pointsOf,
  type Track,
  thinnedPoints,
  trackOf,
} from "@muster/protocol/history";
import { HISTORY_MESSAGE_BYTES, LATE_HEADER } from "@muster/protocol/streams";
import { patterns } from "@muster/protocol/subjects";
import type { HostRecords } from "../records/hosts.ts";

/** A reply must fit into one message of 1 MiB: so many values, of some eight bytes. */
const PAGE_VALUES = 60_000;
/** What a page reads at most, so that one request does not hold a controller. */
const PAGE_MESSAGES = 1_000;
const LATE_SPANS = 1_000;
/** A host's clock may be ahead of the broker's by which it is found. */
const AHEAD_MS = 600_000;

type Request = ControlRequest<"history">;

/**
 * `recent`: the last minutes, which the stream does not have yet.
 * Errors: NOT_FOUND for a host that there is not, or that the guest does not see.
 */
export async function historyPage(
  bus: Pick<Bus, "readAll">,
  request: Request,
  records: Pick<HostRecords, "byName" | "seenBy">,
  recent: (host: string, track: HistoryKind) => readonly Point[],
  guest: Grant | null = null,
): Promise<ControlReply<"history">> {
  const record = records.byName(request.host);
  const seen = guest === null || records.seenBy(guest).some(({ name }) => name === request.host);
  if (record === undefined || !seen) throw new FleetError("NOT_FOUND", `host ${request.host}`);
  const from =
    request.after > 0
      ? { from_seq: request.after + 1 }
      : { from_time_ms: Math.max(0, request.since - AHEAD_MS) };
  const late: { from: number; to: number }[] = [];
  let points: Point[] = [];
  let [values, messages, last] = [0, 0, request.after];
  let next: number | null = null;
  for await (const message of bus.readAll("HISTORY", patterns.history(record.id), from)) {
    if (values >= PAGE_VALUES || messages >= PAGE_MESSAGES) {
      next = last;
      break;
    }
    messages += 1;
    last = message.seq;
    const track = readTrack(message, request.kind);
    if (track === null) continue;
    const found = chosen(track, request);
    values += found.reduce((sum, { numbers }) => sum + Object.keys(numbers).length + 1, 0);
    points = points.concat(found);
    const [first, end] = [found[0]?.at, found.at(-1)?.at];
    if (
      LATE_HEADER in message.headers &&
      first !== undefined &&
      end !== undefined &&
      late.length < LATE_SPANS
    )
      late.push({ from: first, to: end });
  }
  if (next === null) {
    const told_at = Math.max(request.since, ...points.map(({ at }) => at));
    const later = trackOf(recent(request.host, request.kind).filter(({ at }) => at > told_at));
    if (later !== null) points = points.concat(chosen(later, request));
  }
  points.sort((one, other) => one.at - other.at);
  // Once more: a step may begin in one message and end in the next.
  if (request.step_ms !== null) points = thinnedPoints(request.kind, points, request.step_ms);
  return { track: trackOf(points), late, next };
}

/** `NAME *` means that number of every thing. */
function wantedOf({ series: there }: Track, series: readonly string[] | null): ReadonlySet<string> | null {
  if (series === null) return null;
  const starts = series.filter((name) => name.endsWith(" *")).map((name) => name.slice(0, -1));
  const found = Object.keys(there).filter((name) => starts.some((start) => name.startsWith(start)));
  return new Set([...series, ...found]);
}

/** Not older than asked for, thinned before it is gathered. */
function chosen(track: Track, { kind, since, series, step_ms }: Request): Point[] {
  const points = pointsOf(track, wantedOf(track, series)).filter(({ at }) => at >= since);
  return step_ms === null ? points : thinnedPoints(kind, points, step_ms);
}

/** Null for what cannot be read, and for other kinds: readers are tolerant. */
function readTrack(message: { subject: string; body: Uint8Array }, kind: string): Track | null {
  if (message.body.length > HISTORY_MESSAGE_BYTES) return null;
  try {
    return parseJson(HistoryMessage, message.body, message.subject).tracks[kind] ?? null;
  } catch (error) {
    if (error instanceof FleetError) return null;
    throw error;
  }
}
