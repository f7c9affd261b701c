/**
 * What the alert rules' own conditions look back at: of every host the numbers that a rule names, as long as the longest of their times. What was before this controller led
 * comes from stream HISTORY, once; from then on it grows by what is heard. Until it is there, and of a host that was not heard for some minutes, nothing is known.
 */
import type { Bus } from "@muster/ports/bus";
import type { Log } from "@muster/ports/log";
import { parseCondition } from "@muster/protocol/condition";
import { FleetError, parseJson } from "@muster/protocol/errors";
import { windowsOf } from "@muster/protocol/expression/values";
import type { Past } from "@muster/protocol/expression/window";
import {
  type HistoryKind,
  HistoryMessage,
  type Numbers,
  type Point,
  pointsOf,
} from "@muster/protocol/history";
import { KEPT } from "@muster/protocol/kept";
import { patterns } from "@muster/protocol/subjects";

/** So many hosts are read at once. */
const AT_ONCE = 4;
/** What is heard reaches back so far that shorter gaps leave no hole. */
const GAP_MS = 300_000;
/** A host's clock may be ahead of the broker's. */
const AHEAD_MS = 600_000;

type Need = { readonly columns: Set<string>; window_ms: number };
type Held = {
  readonly id: string;
  readonly tracks: Map<HistoryKind, Point[]>;
  seeded: boolean;
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
  #needs = new Map<HistoryKind, Need>();
  #asked = "";
  #seeding: Promise<void> | null = null;

  constructor(ports: PastPorts) {
    this.#ports = ports;
  }

  /** What is looked back at from now on, by the conditions of the rules, and of whom. */
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
    return (track) => this.#held.get(host)?.tracks.get(track);
  }

  /** Waits for what is being read; for tests. */
  async settled(): Promise<void> {
    await this.#seeding;
  }

  #look(name: string, id: string): void {
    const now_ms = this.#ports.now();
    let held = this.#held.get(name);
    if (held === undefined || held.id !== id || now_ms - held.looked_at > GAP_MS) {
      held = { id, tracks: new Map(), seeded: false, looked_at: now_ms };
      this.#held.set(name, held);
    }
    held.looked_at = now_ms;
    for (const [track, need] of this.#needs) this.#add(held, track, need, this.#ports.recent(name, track));
  }

  /** What comes later than what is there, of the columns that are asked for. */
  #add({ tracks }: Held, track: HistoryKind, { columns, window_ms }: Need, points: readonly Point[]): void {
    const kept = tracks.get(track) ?? [];
    tracks.set(track, kept);
    const last_at = kept.at(-1)?.at ?? Number.NEGATIVE_INFINITY;
    for (const { at, numbers } of points)
      if (at > last_at) kept.push({ at, numbers: chosen(numbers, columns) });
    const oldest = (kept.at(-1)?.at ?? 0) - window_ms - 2 * KEPT[track].every_ms;
    const from = kept.findIndex(({ at }) => at >= oldest);
    if (from > 0) kept.splice(0, from);
  }

  async #seed(): Promise<void> {
    for (;;) {
      const next = [...this.#held].filter(([, { seeded }]) => !seeded).slice(0, AT_ONCE);
      if (next.length === 0 || this.#ports.signal?.aborted === true) return;
      try {
        await Promise.all(next.map(([, held]) => this.#read(held)));
      } catch (error) {
        if (!(error instanceof FleetError)) throw error;
        // The next look begins again.
        this.#ports.log.warn({ err: error }, "what alert rules look back at cannot be read");
        return;
      }
    }
  }

  async #read(held: Held): Promise<void> {
    const { bus, now } = this.#ports;
    const needs = this.#needs;
    const longest_ms = Math.max(...[...needs.values()].map(({ window_ms }) => window_ms));
    const before = new Map<HistoryKind, Point[]>();
    const from_time_ms = Math.max(0, now() - longest_ms - AHEAD_MS);
    for await (const message of bus.readAll("HISTORY", patterns.history(held.id), { from_time_ms })) {
      const tracks = tracksIn(message);
      for (const track of needs.keys()) {
        const told = tracks[track];
        if (told !== undefined) before.set(track, [...(before.get(track) ?? []), ...pointsOf(told)]);
      }
    }
    held.seeded = true;
    if (needs !== this.#needs) return;
    for (const [track, need] of needs) {
      const heard = held.tracks.get(track) ?? [];
      const sorted = [...(before.get(track) ?? [])].sort((one, other) => one.at - other.at);
      held.tracks.set(track, []);
      this.#add(held, track, need, sorted);
      this.#add(held, track, need, heard);
    }
  }
}

function needsOf(conditions: readonly string[]): Map<HistoryKind, Need> {
  const needs = new Map<HistoryKind, Need>();
  for (const { track, name, window_ms } of conditions.flatMap((text) => windowsOf(parseCondition(text)))) {
    const need = needs.get(track) ?? { columns: new Set(), window_ms: 0 };
    need.columns.add(name);
    need.window_ms = Math.max(need.window_ms, window_ms);
    needs.set(track, need);
  }
  return needs;
}

const chosen = (numbers: Numbers, columns: ReadonlySet<string>): Numbers =>
  Object.fromEntries(Object.entries(numbers).filter(([name]) => columns.has(name.split(" ", 1)[0] ?? "")));

/** Of what cannot be read nothing: readers are tolerant. */
function tracksIn({ subject, body }: { subject: string; body: Uint8Array }): HistoryMessage["tracks"] {
  try {
    return parseJson(HistoryMessage, body, subject).tracks;
  } catch (error) {
    if (error instanceof FleetError) return {};
    throw error;
  }
}
