/**
 * What the alert rules' own conditions look back at: of every host the numbers that a rule names, as long as it asks, thinned: of each function and time 120 steps, with what
 * comes a little early and what is kept before its beginning at most 150 points, whatever the time, so that 6 h of 20 BGP sessions are 3,000 numbers a host instead of 43,000. What was before this controller led comes from stream HISTORY, once; from
 * then on it grows by what is heard. Until it is there, and of a host that was not heard for some minutes, nothing is known. Nothing is held by who does not lead.
 */
import type { Bus } from "@muster/ports/bus";
import type { Log } from "@muster/ports/log";
import { parseCondition } from "@muster/protocol/condition";
import { FleetError, parseJson } from "@muster/protocol/errors";
import { windowsOf } from "@muster/protocol/expression/values";
import { type Over, type Past, type Track, WINDOW_STEPS } from "@muster/protocol/expression/window";
import {
  type HistoryKind,
  HistoryMessage,
  type Numbers,
  type Point,
  pointsOf,
} from "@muster/protocol/history";
import { type Column, KEPT } from "@muster/protocol/kept";
import { patterns } from "@muster/protocol/subjects";

/** So many hosts are read at once. */
const AT_ONCE = 4;
/** What is heard reaches back so far that shorter gaps leave no hole. */
const GAP_MS = 300_000;
/** Of whom it could not be read is tried again after this. */
const RETRY_MS = 30_000;
/** A host's clock may be ahead of the broker's. */
const AHEAD_MS = 600_000;
/** So far from now may be what is read of the past. */
const TOLERANCE_MS = 60_000;
/** A step is over a little early, so that points that come once a step stay apart. */
const SLACK = 0.8;

type Need = {
  readonly track: HistoryKind;
  readonly fn: Over["fn"];
  readonly window_ms: number;
  readonly step_ms: number;
  readonly columns: Set<string>;
};
/** By the name of a number. */
type ByName = Readonly<Record<string, number>>;
/**
 * What was told within one step: `at` its newest instant, `from` its first; `counts`: of how many points a mean is, absent = one;
 * `offsets`: what counters that began anew had come to before.
 */
type Step = {
  readonly at: number;
  readonly from: number;
  readonly numbers: Numbers;
  readonly counts: ByName;
  readonly offsets: ByName;
};
/** Shared: there are hundreds of steps for each host and need. */
const NONE: ByName = {};
type Held = {
  readonly id: string;
  /** By need. A list is never changed: what changed is another one, so that what came of it can be kept. */
  readonly steps: Map<string, readonly Step[]>;
  seeded: boolean;
  /** Not read sooner. */
  read_at: number;
  looked_at: number;
};
export type PastPorts = {
  readonly bus: Pick<Bus, "readAll">;
  readonly log: Log;
  readonly now: () => number;
  readonly signal?: AbortSignal;
  recent(host: string, track: HistoryKind): readonly Point[];
};

export class PastOfFleet {
  readonly #ports: PastPorts;
  readonly #held = new Map<string, Held>();
  #needs = new Map<string, Need>();
  #asked = "[]";
  #seeding: Promise<void> | null = null;

  constructor(ports: PastPorts) {
    this.#ports = ports;
  }

  /** What is looked back at from now on, by the conditions of the rules, and of whom; of none nothing is held. */
  need(
    conditions: readonly string[],
    hosts: readonly { readonly name: string; readonly id: string }[],
  ): void {
    const asked = JSON.stringify(conditions);
    if (asked !== this.#asked) {
      this.#asked = asked;
      this.#needs = needsOf(conditions);
      this.#held.clear();
    }
    if (this.#needs.size === 0) return;
    const names = new Set(hosts.map(({ name }) => name));
    for (const name of this.#held.keys()) if (!names.has(name)) this.#held.delete(name);
    for (const { name, id } of hosts) this.#look(name, id);
    this.#seeding ??= this.#seed().finally(() => {
      this.#seeding = null;
    });
  }

  of(host: string): Past {
    return (track, asked) => this.#held.get(host)?.steps.get(keyOf(track, asked));
  }

  /** Waits for what is being read; for tests. */
  async settled(): Promise<void> {
    await this.#seeding;
  }

  #look(name: string, id: string): void {
    const now_ms = this.#ports.now();
    let held = this.#held.get(name);
    if (held === undefined || held.id !== id || now_ms - held.looked_at > GAP_MS) {
      held = { id, steps: new Map(), seeded: false, read_at: 0, looked_at: now_ms };
      this.#held.set(name, held);
    }
    held.looked_at = now_ms;
    this.#hear(name, held);
  }

  #hear(name: string, { steps }: Held): void {
    for (const [key, need] of this.#needs)
      steps.set(key, added(steps.get(key) ?? [], need, this.#ports.recent(name, need.track)));
  }

  /** Of whom it cannot be read is asked again later; the others are read meanwhile. */
  async #seed(): Promise<void> {
    const { log, now, signal } = this.#ports;
    let told = false;
    const read = async (name: string, held: Held) => {
      try {
        await this.#read(name, held);
      } catch (error) {
        if (!(error instanceof FleetError)) throw error;
        held.read_at = now() + RETRY_MS;
        // Told at once: of a large fleet and a broker that is slow the reading goes on for as long as that is so.
        if (!told)
          log.warn({ err: error, host: name }, "what alert rules look back at cannot be read of all hosts");
        told = true;
      }
    };
    for (;;) {
      const due = [...this.#held].filter(([, { seeded, read_at }]) => !seeded && read_at <= now());
      const next = due.slice(0, AT_ONCE);
      if (next.length === 0 || signal?.aborted === true) break;
      await Promise.all(next.map(([name, held]) => read(name, held)));
    }
  }

  async #read(name: string, held: Held): Promise<void> {
    const { bus, now } = this.#ports;
    const needs = this.#needs;
    const all = [...needs.values()];
    const longest_ms = Math.max(...all.map(({ window_ms }) => window_ms));
    const columns = new Map<HistoryKind, Set<string>>();
    for (const need of all)
      columns.set(need.track, new Set([...(columns.get(need.track) ?? []), ...need.columns]));
    const before = new Map<HistoryKind, Point[]>();
    const from_time_ms = Math.max(0, now() - longest_ms - AHEAD_MS);
    for await (const message of bus.readAll("HISTORY", patterns.history(held.id), { from_time_ms })) {
      const tracks = tracksIn(message);
      for (const [track, of] of columns) {
        const told = tracks[track];
        if (told === undefined) continue;
        const wanted = new Set(Object.keys(told.series).filter((series) => of.has(columnOf(series))));
        const points = before.get(track) ?? [];
        before.set(track, points);
        for (const point of pointsOf(told, wanted)) points.push(point);
      }
    }
    held.seeded = true;
    if (needs !== this.#needs) return;
    const latest = now() + TOLERANCE_MS;
    for (const [key, need] of needs) {
      // What is later than now was told by a clock that was ahead.
      const told = (before.get(need.track) ?? []).filter(({ at }) => at <= latest);
      told.sort((one, other) => one.at - other.at);
      held.steps.set(key, added([], need, told));
    }
    this.#hear(name, held);
  }
}

const keyOf = (track: Track, { fn, window_ms }: Over) => `${track} ${fn} ${window_ms}`;
const columnOf = (series: string) => series.split(" ", 1)[0] ?? "";

function needsOf(conditions: readonly string[]): Map<string, Need> {
  const needs = new Map<string, Need>();
  for (const { track, name, over } of conditions.flatMap((text) => windowsOf(parseCondition(text)))) {
    const key = keyOf(track, over);
    const step_ms = Math.max(KEPT[track].every_ms, over.window_ms / WINDOW_STEPS);
    const need = needs.get(key) ?? { track, ...over, step_ms, columns: new Set() };
    need.columns.add(name);
    needs.set(key, need);
  }
  return needs;
}

/** With what comes later than what is there, of the columns that are asked for; the same list when nothing does. */
function added(before: readonly Step[], need: Need, points: readonly Point[]): readonly Step[] {
  // A clock that was set back: what is later than the newest that is heard was not. By one point the stream may be further.
  const newest_at = (points.at(-1)?.at ?? Number.POSITIVE_INFINITY) + 2 * KEPT[need.track].every_ms;
  const steps = (before.at(-1)?.at ?? 0) <= newest_at ? before : before.filter(({ at }) => at <= newest_at);
  const last_at = steps.at(-1)?.at ?? Number.NEGATIVE_INFINITY;
  const later = points.filter(({ at }) => at > last_at);
  if (later.length === 0) return steps;
  const all = [...steps];
  for (const { at, numbers } of later) {
    const last = all.at(-1);
    if (last?.at === at) continue;
    const told = risen(all, need, chosen(numbers, need.columns));
    if (last !== undefined && at - last.from < need.step_ms * SLACK)
      all[all.length - 1] = joined(need.fn, last, at, told);
    else {
      // It is whole: of how many points it is a mean no longer matters.
      if (last !== undefined) all[all.length - 1] = { ...last, counts: NONE };
      all.push({ at, from: at, counts: NONE, ...told });
    }
  }
  const oldest = (all.at(-1)?.at ?? 0) - need.window_ms - 2 * need.step_ms;
  return all.slice(all.findIndex(({ at }) => at >= oldest));
}

/** Of what grows, counters as they would stand had they never begun anew: of a step only its last value is kept, which may be above the one before all the same. */
function risen(
  steps: readonly Step[],
  { fn, track }: Need,
  told: Numbers,
): Pick<Step, "numbers" | "offsets"> {
  if (fn !== "rate" && fn !== "increase") return { numbers: told, offsets: NONE };
  const columns: Readonly<Record<string, Column>> = KEPT[track].columns;
  const numbers: Record<string, number | null> = { ...told };
  const offsets: Record<string, number> = {};
  for (const [name, value] of Object.entries(told)) {
    if (value === null || columns[columnOf(name)]?.counter !== true) continue;
    const before = steps.findLast((step) => step.numbers[name] != null);
    const offset = before?.offsets[name] ?? 0;
    const top = before?.numbers[name] ?? 0;
    const now = value + offset < top ? top : offset;
    numbers[name] = value + now;
    if (now > 0) offsets[name] = now;
  }
  return { numbers, offsets: Object.keys(offsets).length === 0 ? NONE : offsets };
}

/** A step with one point more: of each number what its function asks for, and otherwise the last that is known. */
function joined(fn: Over["fn"], step: Step, at: number, told: Pick<Step, "numbers" | "offsets">): Step {
  const numbers: Record<string, number | null> = { ...step.numbers };
  const counts: Record<string, number> = { ...step.counts };
  for (const [name, value] of Object.entries(told.numbers)) {
    const before = numbers[name];
    if (value === null) numbers[name] = before ?? null;
    else if (before == null) numbers[name] = value;
    else if (fn === "min" || fn === "max") numbers[name] = Math[fn](before, value);
    else if (fn === "mean") {
      const count = (counts[name] ?? 1) + 1;
      counts[name] = count;
      numbers[name] = before + (value - before) / count;
    } else numbers[name] = value;
  }
  const offsets = told.offsets === NONE ? step.offsets : { ...step.offsets, ...told.offsets };
  return { at, from: step.from, numbers, counts: fn === "mean" ? counts : NONE, offsets };
}

const chosen = (numbers: Numbers, columns: ReadonlySet<string>): Numbers =>
  Object.fromEntries(Object.entries(numbers).filter(([name]) => columns.has(columnOf(name))));

/** Of what cannot be read nothing: readers are tolerant. */
function tracksIn({ subject, body }: { subject: string; body: Uint8Array }): HistoryMessage["tracks"] {
  try {
    return parseJson(HistoryMessage, body, subject).tracks;
  } catch (error) {
    if (error instanceof FleetError) return {};
    throw error;
  }
}
