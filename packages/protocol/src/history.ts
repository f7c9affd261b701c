/**
 * History: the numbers of samples over time, as hosts tell them on `history.<id>.<host>` every few minutes and stream HISTORY keeps them (ADR 21).
 * A point is what `numbersOf` takes from one sample; a track is points of one kind, column by column (`kept.ts` says which); a message is the tracks of some minutes. It never
 * says how a host stands now: that is what the last values say, and nothing in here becomes one.
 */
import { z } from "zod";
import { KEPT, NAME_LENGTH, type Numbers, type Row } from "./kept.ts";
import { Instant } from "./names.ts";

export { bgpSeries, diskSeries, type Numbers } from "./kept.ts";

const POINTS_LIMIT = 20_000;

export const Track = z.object({
  at: z
    .array(Instant)
    .min(1)
    .max(POINTS_LIMIT)
    .describe("When the samples were taken, by the host's clock, oldest first."),
  series: z
    .record(
      z.string().max(NAME_LENGTH),
      z
        .array(z.number().nullable())
        .min(1)
        .max(POINTS_LIMIT)
        .describe("A value for each instant, null = not known then; one alone holds for all of them."),
    )
    .describe("Values by their name."),
});
export type Track = z.infer<typeof Track>;

/** What travels on `history.<id>.<host>`. A kind that the reader does not know is another's. */
export const HistoryMessage = z.object({
  tracks: z
    .record(z.string().max(40), Track)
    .describe("By their name: that of a kind of telemetry, or of a part of one."),
});
export type HistoryMessage = z.infer<typeof HistoryMessage>;

export type HistoryKind = keyof typeof KEPT;
export const HISTORY_KINDS = Object.keys(KEPT) as [HistoryKind, ...HistoryKind[]];

/** The tracks that a kind of telemetry is kept in; none of most. */
export const tracksOf = (kind: string): HistoryKind[] =>
  HISTORY_KINDS.filter((track) => KEPT[track].of === kind);

/** The numbers of a sample. `before` must be of the same kind. */
export function numbersOf(track: HistoryKind, sample: unknown, before: unknown): Numbers {
  return (KEPT[track] as Row<unknown>).numbers(sample, before);
}

const share = (value: number): number => Math.round(value * 1_000) / 1_000;

/** A point among others. */
export type Point = { readonly at: number; readonly numbers: Numbers };

/** Points → a track, oldest first; of two at one instant the first holds. Series that stand still become one value. Null of none. */
export function trackOf(points: readonly Point[]): Track | null {
  if (points.length === 0) return null;
  const sorted = [...points].sort((one, other) => one.at - other.at);
  const once = sorted.filter(({ at }, index) => index === 0 || sorted[index - 1]?.at !== at);
  const names = new Set(once.flatMap(({ numbers }) => Object.keys(numbers)));
  const series = [...names].map((name): [string, (number | null)[]] => {
    const values = once.map(({ numbers }) => numbers[name] ?? null);
    const [first = null] = values;
    return [name, values.every((value) => value === first) ? [first] : values];
  });
  return { at: once.map(({ at }) => at), series: Object.fromEntries(series) };
}

/** A track → its points, of all series or of those asked for. */
export function pointsOf({ at, series }: Track, wanted: ReadonlySet<string> | null = null): Point[] {
  const columns = Object.entries(series).filter(([name]) => wanted === null || wanted.has(name));
  return at.map((instant, index) => ({
    at: instant,
    numbers: Object.fromEntries(
      columns.map(([name, values]) => [name, (values.length === 1 ? values[0] : values[index]) ?? null]),
    ),
  }));
}

/** One point for each `step_ms` in which there is any, at its beginning; points must be in the order of time. */
export function thinnedPoints(kind: HistoryKind, points: readonly Point[], step_ms: number): Point[] {
  const buckets = new Map<number, Point[]>();
  for (const point of points) {
    const at = Math.floor(point.at / step_ms) * step_ms;
    const bucket = buckets.get(at);
    if (bucket === undefined) buckets.set(at, [point]);
    else bucket.push(point);
  }
  return [...buckets].map(([at, bucket]) => {
    const last = bucket.at(-1)?.numbers ?? {};
    return { at, numbers: KEPT[kind].thinned === "last" ? last : meanOf(bucket) };
  });
}

function meanOf(bucket: readonly Point[]): Numbers {
  const names = new Set(bucket.flatMap(({ numbers }) => Object.keys(numbers)));
  return Object.fromEntries(
    [...names].map((name) => {
      const known = bucket.flatMap(({ numbers }) => numbers[name] ?? []);
      return [
        name,
        known.length === 0 ? null : share(known.reduce((sum, one) => sum + one, 0) / known.length),
      ];
    }),
  );
}
