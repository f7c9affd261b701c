/**
 * The host's numbers over time: a point of each sample, a line of points a minute into a spool on disk, and every five minutes what the spool has to stream
 * HISTORY. With a broker or without, before a restart and after, that is one way: while nobody takes it, it waits there, and goes in order when somebody
 * does, marked as late. Samples themselves are not kept (the next one says how things are), and nothing that is late goes where last values are read.
 */
import type { Log } from "@muster/ports/log";
import { FleetError, parseJson } from "@muster/protocol/errors";
import {
  HISTORY_KINDS,
  type HistoryKind,
  HistoryMessage,
  numbersOf,
  type Point,
  pointsOf,
  type Track,
  trackOf,
  tracksOf,
} from "@muster/protocol/history";
import { KEPT } from "@muster/protocol/kept";
import { HISTORY_AGE_MS, HISTORY_MESSAGE_BYTES, LATE_HEADER } from "@muster/protocol/streams";
import { subjects } from "@muster/protocol/subjects";
import type { TelemetryKind } from "@muster/protocol/telemetry/index";
import type { Connected } from "./reporter.ts";
import { type Segment, Spool } from "./spool.ts";
import { pause } from "./wait.ts";

const MIB = 1024 * 1024;
export const HISTORY_TIMES = { line_ms: 60_000, send_ms: 300_000, pace: 1 };
export const HISTORY_LIMITS = { bytes: 16 * MIB, age_ms: HISTORY_AGE_MS, segment_bytes: 256 * 1024 };
/** Samples come at their period, give or take what one takes. */
const POINT_SLACK = 0.8;
/** How many turns are left out after the broker has refused the subject: the account has to learn of it first. */
const DENIED_TURNS = 10;

type Held = { before: unknown; taken_at: number; points: Point[] };

export class History {
  readonly #spool: Spool;
  readonly #times: typeof HISTORY_TIMES;
  readonly #log: Log;
  readonly #now: () => number;
  readonly #held = new Map<HistoryKind, Held>();
  #disk_fails = false;
  #denied_turns = 0;

  private constructor(spool: Spool, log: Log, now: () => number, times: typeof HISTORY_TIMES) {
    this.#spool = spool;
    this.#log = log;
    this.#now = now;
    this.#times = times;
  }

  /** Only tests give times and limits. A directory that cannot be read is told, and holds nothing. */
  static async open(
    directory: string,
    log: Log,
    now: () => number,
    { times = HISTORY_TIMES, limits = HISTORY_LIMITS } = {},
  ): Promise<History> {
    const spool = await Spool.open(directory, limits).catch((error: unknown) => {
      if (!(error instanceof FleetError)) throw error;
      log.error({ err: error }, "numbers over time of before are lost");
      return Spool.empty(directory, limits);
    });
    return new History(spool, log, now, times);
  }

  /** Takes a sample as it is published; of kinds without a history nothing. */
  take(kind: TelemetryKind, sample: unknown): void {
    const at = this.#now();
    for (const track of tracksOf(kind)) {
      const held = this.#held.get(track) ?? { before: null, taken_at: Number.NEGATIVE_INFINITY, points: [] };
      const every_ms = KEPT[track].every_ms * this.#times.pace;
      // A clock that was set back must not stop it.
      if (at >= held.taken_at && at - held.taken_at < every_ms * POINT_SLACK) continue;
      held.points.push({ at, numbers: numbersOf(track, sample, held.before) });
      this.#held.set(track, { ...held, before: sample, taken_at: at });
    }
  }

  /** Keeps and sends until the signal aborts; what is left then goes to disk. */
  async run(where: () => Connected | null, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await pause(this.#times.line_ms, signal);
      await this.#keep();
      const target = where();
      if (signal.aborted || target === null || !target.bus.connected) continue;
      if (this.#denied_turns > 0) {
        this.#denied_turns -= 1;
        continue;
      }
      const { open_since } = this.#spool;
      // A little early rather than a whole line late.
      const age_ms = open_since === null ? 0 : Math.abs(this.#now() - open_since);
      if (open_since !== null && age_ms >= this.#times.send_ms - this.#times.line_ms / 2) this.#spool.close();
      await this.#sendAll(target);
    }
    // What came while the last line was written, or was on its way to the broker.
    await this.#keep();
  }

  async #keep(): Promise<void> {
    const line = lineOf(this.#held);
    if (line === null) return;
    try {
      await this.#spool.append(line, this.#now());
      this.#disk_fails = false;
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      if (!this.#disk_fails) this.#log.error({ err: error }, "numbers over time cannot be kept on disk");
      this.#disk_fails = true;
    }
    const lost = this.#spool.takeLost();
    if (lost > 0) this.#log.warn({ segments: lost }, "the oldest numbers over time went: there is no room");
  }

  async #sendAll(target: Connected): Promise<void> {
    for (;;) {
      const [segment] = this.#spool.waiting;
      if (segment === undefined) return;
      try {
        await this.#send(target, segment);
      } catch (error) {
        if (!(error instanceof FleetError)) throw error;
        if (error.code === "BUS_DENIED") this.#denied_turns = DENIED_TURNS;
        if (error.code !== "TOO_LARGE") {
          this.#log.debug({ code: error.code }, "numbers over time wait for the broker");
          return;
        }
        this.#log.warn({ bytes: segment.bytes }, "numbers over time that no message holds");
      }
      try {
        await this.#spool.drop(segment);
      } catch (error) {
        if (!(error instanceof FleetError)) throw error;
        this.#log.warn({ err: error }, "what was sent stays on disk");
      }
    }
  }

  async #send({ bus, id, host }: Connected, segment: Segment): Promise<void> {
    const late_ms = this.#now() - segment.from - this.#times.send_ms;
    const headers = late_ms > 2 * this.#times.line_ms ? { [LATE_HEADER]: String(late_ms) } : {};
    const bodies = messagesOf(await this.#spool.read(segment), segment.name);
    for (const [index, body] of bodies.entries()) {
      // Once in the stream, also when the answer to the first sending was lost.
      const msg_id = `${id}.${segment.name}.${index}`;
      await bus.publishStored(subjects.history(id, host), body, { headers, msg_id });
    }
  }
}

/** What was gathered, which begins anew; null of nothing. */
function lineOf(held: Map<HistoryKind, Held>): string | null {
  const tracks: Record<string, Track> = {};
  for (const [kind, of] of held) {
    const track = trackOf(of.points.splice(0));
    if (track !== null) tracks[kind] = track;
  }
  return Object.keys(tracks).length === 0 ? null : JSON.stringify({ tracks } satisfies HistoryMessage);
}

/** The lines of a segment as messages: one, or where that would be too large several. */
export function messagesOf(
  lines: readonly string[],
  what: string,
  limit_bytes = HISTORY_MESSAGE_BYTES,
): Buffer[] {
  const message = messageOf(lines, what);
  if (message === null) return [];
  const body = Buffer.from(JSON.stringify(message));
  if (body.length <= limit_bytes) return [body];
  // A line alone that is too large is not of this program's making.
  if (lines.length === 1) return [];
  const half = Math.ceil(lines.length / 2);
  return [
    ...messagesOf(lines.slice(0, half), what, limit_bytes),
    ...messagesOf(lines.slice(half), what, limit_bytes),
  ];
}

/** The lines of a segment as one: names stand once in it, and what stood still is one value. Null where there is none that can be read. */
function messageOf(lines: readonly string[], what: string): HistoryMessage | null {
  const read = lines.flatMap((line) => {
    try {
      return [parseJson(HistoryMessage, line, what)];
    } catch (error) {
      // A line that a crash cut off, or that somebody else wrote.
      if (error instanceof FleetError) return [];
      throw error;
    }
  });
  const tracks: Record<string, Track> = {};
  for (const kind of HISTORY_KINDS) {
    const track = trackOf(read.flatMap((each) => (each.tracks[kind] ? pointsOf(each.tracks[kind]) : [])));
    if (track !== null) tracks[kind] = track;
  }
  return Object.keys(tracks).length === 0 ? null : { tracks };
}
