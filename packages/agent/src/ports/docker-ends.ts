/**
 * How containers ended, as the engine's events told it. Asked about one that runs again, the engine says how it stands now: it forgets the code at each start,
 * and what fell between two looks was never there.
 */
import type { EngineEvent } from "./docker-events.ts";

/** Of each some hundred bytes; of more containers those that ended longest ago are forgotten. */
const CONTAINERS = 1_000;
const FALLS = 10;
export const FALLS_WINDOW_MS = 300_000;
/** The kernel's word comes a moment before the end, or after it. */
const OOM_NEAR_MS = 10_000;
/** Beyond the longest grace period that people set. */
const ORDERED_WITHIN_MS = 360_000;
/** Signals that are an order to do something, not to end: HUP, USR1, USR2. */
const TELLING = new Set(["1", "10", "12"]);

export type ContainerEnds = {
  /** When it last ended, by the engine's clock; null: it was not seen to. */
  readonly at: number | null;
  readonly code: number | null;
  /** It had no memory left then. */
  readonly oom_killed: boolean;
  /** When the kernel last killed a process of it for want of memory, whether it ended by that or not. */
  readonly oom_at: number | null;
  /** When it ended by itself and not by an order, within the last 5 min before the last of them. */
  readonly falls: readonly number[];
};

type Kept = ContainerEnds & { readonly told_to_end_at: number | null };

const NONE: Kept = { at: null, code: null, oom_killed: false, oom_at: null, falls: [], told_to_end_at: null };

export class ContainerEndings {
  readonly #ends = new Map<string, Kept>();

  of(id: string): ContainerEnds | null {
    return this.#ends.get(id) ?? null;
  }

  /** The same event may come again. */
  heard({ Type, Action, Actor, time, timeNano }: EngineEvent): void {
    const id = Actor?.ID;
    if (Type !== "container" || typeof id !== "string") return;
    const at = typeof timeNano === "number" ? Math.floor(timeNano / 1e6) : Number(time) * 1_000;
    if (!Number.isFinite(at)) return;
    const attributes = Actor?.Attributes ?? {};
    const kept = this.#ends.get(id) ?? NONE;
    if (Action === "destroy") this.#ends.delete(id);
    else if (Action === "die") this.#keep(id, ended(kept, at, attributes.exitCode));
    else if (Action === "oom")
      this.#keep(id, {
        ...kept,
        oom_at: at,
        oom_killed: kept.oom_killed || (kept.at !== null && near(kept.at, at)),
      });
    else if (Action === "kill" && !TELLING.has(attributes.signal ?? ""))
      this.#keep(id, { ...kept, told_to_end_at: at });
  }

  #keep(id: string, kept: Kept): void {
    this.#ends.delete(id);
    this.#ends.set(id, kept);
    for (const oldest of this.#ends.keys()) {
      if (this.#ends.size <= CONTAINERS) return;
      this.#ends.delete(oldest);
    }
  }
}

const near = (one: number, other: number) => Math.abs(one - other) <= OOM_NEAR_MS;

function ended(kept: Kept, at: number, exit_code: string | undefined): Kept {
  if (kept.at !== null && at <= kept.at) return kept;
  const { told_to_end_at: told_at, oom_at } = kept;
  const ordered = told_at !== null && told_at > (kept.at ?? 0) && at - told_at <= ORDERED_WITHIN_MS;
  const code = /^\d{1,10}$/.test(exit_code ?? "") ? Number(exit_code) : null;
  const falls = ordered ? kept.falls : [...kept.falls, at];
  return {
    ...kept,
    at,
    code,
    oom_killed: oom_at !== null && near(at, oom_at),
    falls: falls.filter((each) => at - each <= FALLS_WINDOW_MS).slice(-FALLS),
  };
}
