/**
 * The newest minutes of a host's numbers, from the samples that are heard: what stream HISTORY has not yet, since hosts bring it every five minutes. Never stored;
 * after a start it is empty, and what was before comes with the stream.
 */
import { type HistoryKind, numbersOf, type Point, tracksOf } from "@muster/protocol/history";
import { KEPT } from "@muster/protocol/kept";

/** Longer than the stream is behind: five minutes, one for the line, and what a send takes. */
const KEPT_MS = 480_000;
/** A sample that comes at its period comes a little early now and then. */
const SLACK = 0.8;

export class RecentPoints {
  readonly #tracks = new Map<HistoryKind, { points: Point[]; before: unknown }>();

  /** Takes a sample; `heard_at` counts where it does not say when it was taken. */
  take(kind: string, sample: unknown, heard_at: number): void {
    const at = instantOf((sample as { at?: unknown }).at) ?? heard_at;
    for (const track of tracksOf(kind)) {
      const held = this.#tracks.get(track) ?? { points: [], before: null };
      this.#tracks.set(track, held);
      const { points } = held;
      // A clock that was set back: what is later than now was not.
      while ((points.at(-1)?.at ?? 0) > at) points.pop();
      const last = points.at(-1);
      if (last !== undefined && at - last.at < KEPT[track].every_ms * SLACK) continue;
      points.push({ at, numbers: numbersOf(track, sample, held.before) });
      held.before = sample;
      while (points.length > 2 && (points[1]?.at ?? at) < at - KEPT_MS) points.shift();
    }
  }

  of(track: HistoryKind): readonly Point[] {
    return this.#tracks.get(track)?.points ?? [];
  }
}

/** Some samples say it in letters. */
function instantOf(told: unknown): number | null {
  const at = typeof told === "string" ? Date.parse(told) : told;
  return typeof at === "number" && Number.isFinite(at) ? at : null;
}
