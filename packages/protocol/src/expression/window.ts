/**
 * What a number did over a time: `rate(health.interfaces.rx_errors, 5m)>1`, `increase(containers.containers.restarts, 1h)>3`, `max(checks.checks.latency_ms, 6h)>500`.
 * Numbers are those that are kept (`kept.ts`), by `KIND.NAME`. Of a counter the falls are new beginnings, of anything else they are falls. What is not known for
 * the whole of the time is not known: half an hour says nothing of an hour, and neither does an hour of which a fifth is missing. Pure.
 */
import type { Point } from "../history.ts";
import { type Column, KEPT } from "../kept.ts";

export const FUNCTIONS = ["rate", "increase", "min", "mean", "max"] as const;
export type Over = { readonly fn: (typeof FUNCTIONS)[number]; readonly window_ms: number };

/** What is known of a host before now, by track: points, oldest first, enough for what is asked of them. A list that was given is never changed. Undefined: nothing, or not yet. */
export type Past = (track: Track, asked: Over) => readonly Point[] | undefined;
export type Track = keyof typeof KEPT;

/** Of one thing: what came out, null = it is not known for the whole time, and of which points; of what grows how fast it did. `of`: its name; "" = of the host. */
export type Result = {
  readonly of: string;
  readonly value: number | null;
  readonly points: readonly (readonly [at: number, value: number])[];
};

export const WINDOW_MIN_MS = 60_000;
/** As long as they are kept. */
export const WINDOW_MAX_MS = 172_800_000;
/** Whoever holds points for long may thin a time to so many steps. */
export const WINDOW_STEPS = 120;
/** A time of which more is missing is not known. */
const MISSING_MAX = 0.2;
/** Points that are further apart than so many of their paces leave a hole. */
const HOLE_PACES = 2.5;
const UNITS_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `5m`, `1h`; null for what is none, or too short or too long. */
export function windowMs(text: string): number | null {
  const [, count, unit = ""] = /^([1-9]\d{0,6})([smhd])$/.exec(text) ?? [];
  const ms = count === undefined ? 0 : Number(count) * (UNITS_MS[unit] ?? 0);
  return ms >= WINDOW_MIN_MS && ms <= WINDOW_MAX_MS ? ms : null;
}

export type KeptColumn = { readonly track: Track; readonly name: string } & Column;

/** Where a number of a kind of telemetry is kept; null = it is not. */
export function keptColumn(kind: string, name: string): KeptColumn | null {
  for (const [track, { of, columns }] of Object.entries(KEPT)) {
    const column =
      of === kind && Object.hasOwn(columns, name) ? (columns as Record<string, Column>)[name] : undefined;
    if (column !== undefined) return { track: track as Track, name, ...column };
  }
  return null;
}

/** What there is to ask for of a kind, by name. */
export const keptNames = (kind: string): string[] =>
  Object.values(KEPT).flatMap(({ of, columns }) => (of === kind ? Object.keys(columns) : []));

/** What there is to look back at of a kind, as it is asked for, with what it is; "" = nothing. */
export function keptText(kind: string): string {
  const all = Object.values(KEPT).filter(({ of }) => of === kind);
  const names = all.flatMap(({ columns, every_ms }) =>
    Object.keys(columns).map((name) => ({ name: `${kind}.${name}`, every_ms })),
  );
  if (names.length === 0) return "";
  const paces = [...new Set(names.map(({ every_ms }) => every_ms))].map((every_ms) => {
    const of = names.filter((each) => each.every_ms === every_ms).map(({ name }) => name);
    return `${of.join(", ")} (a point every ${every_ms / 1_000} s)`;
  });
  return `Kept for two days, for rate, increase, min, mean and max: ${paces.join("; ")}.`;
}

/**
 * What a number did, of each thing that has it or only of the one of that name. Undefined: the time is not known whole.
 */
export function over(asked: Over, column: KeptColumn, past: Past, only?: string): Result[] | undefined {
  const points = past(column.track, asked);
  if (points === undefined) return undefined;
  const results = judged.get(points) ?? new Map<string, Result[] | undefined>();
  judged.set(points, results);
  const key = JSON.stringify([asked.fn, asked.window_ms, column.track, column.name, only]);
  if (!results.has(key)) results.set(key, judge(asked, column, points, only));
  return results.get(key);
}

/** What came of a list of points: whoever looks again before there is another has it. */
const judged = new WeakMap<readonly Point[], Map<string, Result[] | undefined>>();

function judge({ fn, window_ms }: Over, column: KeptColumn, points: readonly Point[], only?: string) {
  const last = points.at(-1);
  if (last === undefined) return undefined;
  const { every_ms } = KEPT[column.track];
  const from = last.at - window_ms;
  const pace_ms = Math.max(every_ms, window_ms / WINDOW_STEPS);
  // The point with which the time begins, where there is one near enough.
  const begin = points.findLastIndex(({ at }) => at <= from + every_ms / 2);
  const near = (points[begin]?.at ?? last.at) >= from - HOLE_PACES * pace_ms;
  const seen = points.slice(Math.max(0, near ? begin : begin + 1));
  const begins = Math.max(from, seen[0]?.at ?? last.at);
  if (begins > from + Math.max(1.5 * every_ms, window_ms / 10)) return undefined;
  const isWhole = (instants: readonly number[]) => missing(instants, pace_ms) <= MISSING_MAX * window_ms;
  if (!isWhole([from, ...seen.map(({ at }) => Math.max(from, at))])) return undefined;
  const grows = column.counter === true && (fn === "rate" || fn === "increase");
  return namesIn(column, seen, only).flatMap(({ series, of }): Result[] => {
    const known = knownOf(series, seen);
    const value = resultOf(fn, known, column.counter === true, last.at - 3 * every_ms);
    const instants = known.map(([at]) => Math.max(from, at));
    // A host has its numbers all the time; a thing may have come within it, or gone.
    const spanned = column.each === true ? instants : [begins, ...instants, last.at];
    if (!isWhole(spanned)) return [{ of, value: null, points: [] }];
    if (value === null) return [];
    // Made when somebody asks: results are held, and this is much.
    const drawn = () => (grows ? perSecond(knownOf(series, seen)) : knownOf(series, seen));
    return [
      {
        ...{ of, value },
        get points() {
          return drawn();
        },
      },
    ];
  });
}

/** How much of the time between the first and the last instant no point speaks for. */
const missing = (instants: readonly number[], pace_ms: number): number =>
  instants.slice(1).reduce((sum, at, index) => {
    const gap_ms = at - (instants[index] ?? at);
    return gap_ms > HOLE_PACES * pace_ms ? sum + gap_ms - pace_ms : sum;
  }, 0);

const knownOf = (series: string, points: readonly Point[]): [number, number][] =>
  points.flatMap(({ at, numbers }): [number, number][] => {
    const value = numbers[series];
    return value == null ? [] : [[at, value]];
  });

const perSecond = (known: readonly (readonly [number, number])[]): [number, number][] =>
  known.slice(1).map(([at, value], index) => {
    const [before_at, before] = known[index] ?? [at, value];
    return [at, ((value >= before ? value - before : value) * 1_000) / Math.max(1, at - before_at)];
  });

function namesIn({ name, each }: KeptColumn, points: readonly Point[], only?: string) {
  if (each !== true) return [{ series: name, of: "" }];
  const before = `${name} `;
  const own = only === undefined ? null : `${before}${only}`;
  const all = new Set(
    points.flatMap(({ numbers }) =>
      // Of a tunnel with several peers each is called by the tunnel and its key.
      Object.keys(numbers).filter((each) =>
        own === null ? each.startsWith(before) : each === own || each.startsWith(`${own} `),
      ),
    ),
  );
  return [...all].map((series) => ({ series, of: series.slice(before.length) }));
}

/** Null: nothing can be said, as of one that is gone. */
function resultOf(
  fn: Over["fn"],
  known: readonly (readonly [number, number])[],
  counter: boolean,
  alive: number,
): number | null {
  const [first, last] = [known[0], known.at(-1)];
  if (first === undefined || last === undefined) return null;
  const values = known.map(([, value]) => value);
  if (fn === "min") return values.reduce((one, other) => Math.min(one, other));
  if (fn === "max") return values.reduce((one, other) => Math.max(one, other));
  if (fn === "mean") return values.reduce((sum, value) => sum + value, 0) / values.length;
  if (last[0] < alive) return null;
  let rise = last[1] - first[1];
  if (counter)
    rise = values.reduce((sum, value, at) => {
      const before = values[at - 1] ?? value;
      return sum + (value >= before ? value - before : value);
    }, 0);
  if (fn === "increase") return rise;
  return last[0] > first[0] ? (rise * 1_000) / (last[0] - first[0]) : null;
}
