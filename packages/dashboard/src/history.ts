/**
 * Numbers of hosts over time, for charts: what they told while the page was open, and before it what the controllers keep, asked for once a chart is looked
 * at and again every few minutes, so that the two meet. So many points a host at most, and so many hosts.
 */
import { type HistoryKind, type Numbers, numbersOf, type Point } from "@muster/protocol/history";
import type { Told } from "@muster/view/model";

/** An hour of what comes every ten seconds, of hosts that are looked at. */
const POINTS = 360;
/** Of the others as much as the controllers may not have yet. */
const FEW_POINTS = 72;
const HOSTS = 2_000;
/** Of so many hosts the past is held: those that were looked at last. */
const PASTS = 50;
/** As far back as charts go, and one point for each so many milliseconds: a chart has no more to show. */
export const PAST_MS = 6 * 3_600_000;
export const STEP_MS = 60_000;
/** Hosts tell every five minutes what is kept. */
const ASK_AGAIN_MS = 300_000;
const RETRY_MS = 30_000;
/** A line does not go over a time of which nothing is known. */
const GAP_MS = 4 * STEP_MS;

/** Instants in seconds since 1970, by the controllers' clock. */
export type Line = { readonly at: readonly number[]; readonly values: readonly (number | null)[] };
type Span = { readonly from: number; readonly to: number };
/** What is kept of a host, oldest first, and of which times it told late; by the controllers' clock. */
export type Past = { readonly points: readonly Point[]; readonly late: readonly Span[] };
/** A host's sessions one by one are a track of their own: they may be a thousand, so only those are kept that somebody looks at. */
export type TrackName = HistoryKind | "sessions";
/** `sessions`: the names of those that are looked at; of another track null. */
export type AskPast = (host: string, track: TrackName, sessions: readonly string[] | null) => Promise<Past>;
/** What the routes of a session are called. */
export const routesOf = (session: string): string => `imported ${session}`;

type Live = { points: Point[]; before: unknown };
type Asked = Past & { readonly next_ms: number; readonly why: string | null };

export class History {
  readonly #live = new Map<string, Live>();
  readonly #past = new Map<string, Asked>();
  readonly #ask: AskPast;
  readonly #changed: () => void;

  constructor(ask: AskPast, changed: () => void) {
    this.#ask = ask;
    this.#changed = changed;
  }

  /** Another number means that there is something else to draw. */
  version(host: string, kind: TrackName): string {
    const key = `${kind} ${host}`;
    const [live, past] = [this.#live.get(key), this.#past.get(key)];
    return `${live?.points.at(-1)?.at ?? 0} ${past?.points.at(-1)?.at ?? 0} ${past?.points.length ?? 0}`;
  }

  /** Empty before anything was told. */
  of(host: string, kind: TrackName, name: string): Line {
    const key = `${kind} ${host}`;
    const live = this.#live.get(key)?.points ?? [];
    const begun = live[0]?.at ?? Number.POSITIVE_INFINITY;
    const past = (this.#past.get(key)?.points ?? []).filter(({ at }) => at < begun);
    const at: number[] = [];
    const values: (number | null)[] = [];
    let before_ms: number | null = null;
    for (const point of [...past, ...live]) {
      if (before_ms !== null && point.at - before_ms > GAP_MS) {
        at.push((before_ms + STEP_MS) / 1_000);
        values.push(null);
      }
      before_ms = point.at;
      at.push(point.at / 1_000);
      values.push(point.numbers[name] ?? null);
    }
    return { at, values };
  }

  /** Why nothing is known of the time before the page was opened; null = it is, or it is being asked for. */
  lack(host: string, kind: TrackName): string | null {
    return this.#past.get(`${kind} ${host}`)?.why ?? null;
  }

  /** The times of which it told later, since it had no broker. */
  late(host: string, kind: TrackName): readonly Span[] {
    return this.#past.get(`${kind} ${host}`)?.late ?? [];
  }

  /** The past of this is looked at: it is asked for where that is due. */
  want(host: string, kind: TrackName, now_ms: number, sessions: readonly string[] | null = null): void {
    const key = `${kind} ${host}`;
    const held = this.#past.get(key);
    if (held !== undefined && now_ms < held.next_ms) return;
    // Taken out and put in again: those that were looked at last are last.
    this.#past.delete(key);
    const keep = (past: Asked) => {
      this.#past.set(key, past);
      const [oldest] = this.#past.keys();
      if (this.#past.size <= PASTS || oldest === undefined) return;
      this.#past.delete(oldest);
      if (oldest.startsWith("sessions ")) this.#live.delete(oldest);
    };
    const before = { points: held?.points ?? [], late: held?.late ?? [] };
    keep({ ...before, next_ms: now_ms + ASK_AGAIN_MS, why: held?.why ?? null });
    this.#ask(host, kind, sessions)
      .then((kept) => keep({ ...kept, next_ms: now_ms + ASK_AGAIN_MS, why: null }))
      .catch((error: Error) => keep({ ...before, next_ms: now_ms + RETRY_MS, why: error.message }))
      .finally(this.#changed);
  }

  /** What was asked before a connection was lost is asked anew. */
  forget(): void {
    for (const [key, past] of this.#past) this.#past.set(key, { ...past, next_ms: 0 });
  }

  /** A sample of before: it counts where nothing was told meanwhile. */
  begin(host: string, told: Told, at_ms: number): void {
    if (!this.#live.has(`${told.kind} ${host}`)) this.take(host, told, at_ms);
  }

  take(host: string, told: Told, now_ms: number): void {
    if (told.kind !== "health" && told.kind !== "bgp") return;
    const held = this.#live.get(`${told.kind} ${host}`);
    const numbers = numbersOf(told.kind, told.sample, held?.before ?? null);
    this.#put(`${told.kind} ${host}`, { at: now_ms, numbers: withoutSessions(numbers) }, told.sample);
    if (told.kind === "bgp" && this.#past.has(`sessions ${host}`))
      this.#put(`sessions ${host}`, { at: now_ms, numbers }, null);
  }

  #put(key: string, point: Point, before: unknown): void {
    const held = this.#live.get(key) ?? { points: [], before: null };
    if (!this.#live.has(key)) {
      if (this.#live.size >= HOSTS * 2) return;
      this.#live.set(key, held);
    }
    held.before = before;
    held.points.push(point);
    if (held.points.length > (this.#past.has(key) ? POINTS : FEW_POINTS)) held.points.shift();
  }
}

/** Of a router with a thousand sessions only the sums, or a thousand routers would fill the browser. */
const withoutSessions = (numbers: Numbers): Numbers =>
  Object.fromEntries(Object.entries(numbers).filter(([name]) => !name.startsWith("imported ")));
