/**
 * History: the numbers of samples over time, as hosts tell them on `history.<id>.<host>` every few minutes and stream HISTORY keeps them (ADR 21).
 * A point is what `numbersOf` takes from one sample; a track is the points of one kind, column by column; a message is the tracks of some minutes. It never
 * says how a host stands now: that is what the last values say, and nothing in here becomes one.
 */
import { z } from "zod";
import { loadOf } from "./load.ts";
import { Instant } from "./names.ts";
import type { BgpSample } from "./telemetry/bgp.ts";
import type { Health } from "./telemetry/health.ts";

/** One point a kind at most in this time: what comes sooner is a change, and events tell of those. */
export const POINT_MS = 10_000;
/** Of the routes of so many sessions, each by itself; of more only the sums. */
export const SESSIONS_LIMIT = 1_000;
const DISKS_LIMIT = 32;
const NAME_LENGTH = 120;
const POINTS_LIMIT = 20_000;

/** Null: not known then, as the rate at the first sample. */
export type Numbers = Readonly<Record<string, number | null>>;

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
  tracks: z.record(z.string().max(40), Track).describe("By the kind of telemetry."),
});
export type HistoryMessage = z.infer<typeof HistoryMessage>;

type Row<S> = {
  /** `before` is the sample before this one of the same agent, for rates. */
  numbers(sample: S, before: S | null): Numbers;
  /** How several points become one: their mean, or the last of them. */
  readonly thinned: "mean" | "last";
};

/** What is kept of each kind. Of a kind that is not here nothing is. */
export const HISTORY = {
  health: { numbers: healthNumbers, thinned: "mean" },
  bgp: { numbers: bgpNumbers, thinned: "last" },
} as const satisfies { health: Row<Health>; bgp: Row<BgpSample> };

export type HistoryKind = keyof typeof HISTORY;
export const HISTORY_KINDS = Object.keys(HISTORY) as [HistoryKind, ...HistoryKind[]];
export const isHistoryKind = (kind: string): kind is HistoryKind => Object.hasOwn(HISTORY, kind);

/** The numbers of a sample. `before` must be of the same kind. */
export function numbersOf(kind: HistoryKind, sample: unknown, before: unknown): Numbers {
  return (HISTORY[kind] as Row<unknown>).numbers(sample, before);
}

const share = (value: number): number => Math.round(value * 1_000) / 1_000;
const whole = (value: number | null): number | null => (value === null ? null : Math.round(value));

function healthNumbers(sample: Health, before: Health | null): Numbers {
  const { cpu, memory, load1, received_bits_per_s, sent_bits_per_s } = loadOf(sample, before);
  return {
    cpu,
    memory: share(memory),
    load1,
    received_bits_per_s: whole(received_bits_per_s),
    sent_bits_per_s: whole(sent_bits_per_s),
    ...Object.fromEntries(
      sample.disks
        .filter(({ size_bytes }) => size_bytes > 0)
        .slice(0, DISKS_LIMIT)
        .map(({ mount, used_bytes, size_bytes }) => [
          `disk_used ${mount}`.slice(0, NAME_LENGTH),
          share(used_bytes / size_bytes),
        ]),
    ),
  };
}

/** Under which name the imported routes of one session are kept. */
export const bgpSeries = (session: string): string => `imported ${session}`.slice(0, NAME_LENGTH);

function bgpNumbers({ daemon, sessions }: BgpSample): Numbers {
  if (!daemon.reachable) return { imported: null, exported: null, up: null };
  const routes = (of: "imported" | "exported", chosen: typeof sessions): number | null => {
    const counts = chosen.flatMap(({ channels }) => channels.flatMap((channel) => channel[of] ?? []));
    return counts.length === 0 ? null : counts.reduce((sum, count) => sum + count, 0);
  };
  return {
    imported: routes("imported", sessions),
    exported: routes("exported", sessions),
    up: sessions.filter(({ state }) => state === "established").length,
    ...Object.fromEntries(
      sessions
        .slice(0, SESSIONS_LIMIT)
        .map((session) => [bgpSeries(session.name), routes("imported", [session])]),
    ),
  };
}

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
    return { at, numbers: HISTORY[kind].thinned === "last" ? last : meanOf(bucket) };
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
