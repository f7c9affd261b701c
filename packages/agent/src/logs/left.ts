/** Where sources of log lines were left, kept over a restart of the agent: what is written meanwhile is sent after it. It may be a little old, then some lines go twice. */
import type { Log } from "@muster/ports/log";
import { FleetError, parseJson } from "@muster/protocol/errors";
import { z } from "zod";
import { readText } from "../config.ts";
import { writeWhole } from "../store.ts";

const Left = z.object({
  /** When the line at the cursor was written, in milliseconds since 1970 UTC. */
  at: z.int().min(0),
  cursor: z.string().max(1_000).nullable(),
  /** By container, what was written from then on is new. */
  containers: z.record(z.string().max(128), z.int().min(0)),
});
/** Not more often: it is written while lines come. */
const EVERY_MS = 10_000;
/** What is older is not caught up: a week of a journal would take hours. */
const CAUGHT_UP_MS = 3_600_000;
/** By so much a line may seem older than the one before it, as those of two streams do; by more the clock was set. */
const OUT_OF_ORDER_MS = 60_000;

export class LeftAt {
  readonly #file: string;
  readonly #log: Log;
  #cursor: string | null;
  #at: number;
  readonly #containers: Map<string, number>;
  readonly #now: () => number;
  #changed = false;
  #kept_at = performance.now();
  #keeping = Promise.resolve();

  private constructor(file: string, log: Log, now: () => number, left: z.infer<typeof Left>) {
    this.#file = file;
    this.#log = log;
    this.#now = now;
    this.#cursor = left.cursor;
    this.#at = left.at;
    this.#containers = new Map(Object.entries(left.containers));
  }

  static open(file: string, log: Log, now: () => number): LeftAt {
    const fresh = { at: 0, cursor: null, containers: {} };
    try {
      const text = readText(file);
      const left = text === null ? fresh : parseJson(Left, text, file);
      return new LeftAt(file, log, now, left);
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      log.warn({ err: error }, "where logs were left is lost: they are sent from now on");
      return new LeftAt(file, log, now, fresh);
    }
  }

  /** From where the journal is read that is followed since `began`. By the cursor no set clock matters; of one that is too old, all that is young enough comes after it. */
  journal(began: number): { readonly since: number; readonly after: string | null } {
    const now = this.#now();
    if (this.#cursor === null) return { since: Math.min(began, now), after: null };
    const oldest = now - CAUGHT_UP_MS;
    return { since: oldest, after: this.#at < oldest ? null : this.#cursor };
  }
  /** That line was read; null = what comes is to be read as if none had been. */
  readJournal(line: { readonly cursor: string; readonly at: number } | null): void {
    if ((line?.cursor ?? null) === this.#cursor) return;
    this.#cursor = line?.cursor ?? null;
    this.#at = line?.at ?? 0;
    this.#changed = true;
  }

  /** The same of a container. Of one that was left while the clock was ahead some lines come twice, and none is lost. */
  container(name: string, began: number): number {
    const now = this.#now();
    const since = this.#containers.get(name);
    return since === undefined ? Math.min(began, now) : Math.max(Math.min(since, now), now - CAUGHT_UP_MS);
  }
  readContainer(name: string, at: number): void {
    const held = this.#containers.get(name) ?? 0;
    // One without a time says nothing of where we are.
    if (at === 0 || (at < held && at > held - OUT_OF_ORDER_MS)) return;
    this.#containers.set(name, at + 1);
    this.#changed = true;
  }
  /** Whose lines are not wanted any more is begun anew when they are again. */
  keepOnly(containers: ReadonlySet<string>): void {
    for (const name of this.#containers.keys())
      if (!containers.has(name)) {
        this.#containers.delete(name);
        this.#changed = true;
      }
  }

  /** All that was read is sent. */
  sent({ now = false } = {}): Promise<void> {
    if (!this.#changed || (!now && performance.now() - this.#kept_at < EVERY_MS)) return this.#keeping;
    this.#changed = false;
    this.#kept_at = performance.now();
    const containers = Object.fromEntries(this.#containers);
    const text = JSON.stringify({ at: this.#at, cursor: this.#cursor, containers });
    this.#keeping = this.#keeping
      .then(() => writeWhole(this.#file, text))
      .catch((error: unknown) => {
        if (!(error instanceof FleetError)) throw error;
        this.#log.warn({ err: error }, "where logs were left cannot be kept");
      });
    return this.#keeping;
  }
}
