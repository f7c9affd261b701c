/** Where sources of log lines were left, kept over a restart of the agent: what is written meanwhile is sent after it. It may be a little old, then some lines go twice. */
import type { Log } from "@muster/ports/log";
import { FleetError, parseJson } from "@muster/protocol/errors";
import { z } from "zod";
import { readText } from "../config.ts";
import { writeWhole } from "../store.ts";

const Left = z.object({
  /** Milliseconds since 1970 UTC. */
  at: z.int().min(0),
  cursor: z.string().max(1_000).nullable(),
  /** By container, what was written from then on is new. */
  containers: z.record(z.string().max(128), z.int().min(0)),
});
/** Not more often: it is written while lines come. */
const EVERY_MS = 10_000;
/** Of an agent that was away for longer nothing is caught up: a week of a journal would take hours. */
const CAUGHT_UP_MS = 3_600_000;

export class LeftAt {
  readonly #file: string;
  readonly #log: Log;
  #cursor: string | null;
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
    this.#containers = new Map(Object.entries(left.containers));
  }

  static open(file: string, log: Log, now: () => number): LeftAt {
    const fresh = { at: 0, cursor: null, containers: {} };
    try {
      const text = readText(file);
      const left = text === null ? fresh : parseJson(Left, text, file);
      return new LeftAt(file, log, now, now() - left.at > CAUGHT_UP_MS ? fresh : left);
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      log.warn({ err: error }, "where logs were left is lost: they are sent from now on");
      return new LeftAt(file, log, now, fresh);
    }
  }

  get cursor(): string | null {
    return this.#cursor;
  }
  set cursor(cursor: string | null) {
    if (cursor === this.#cursor) return;
    this.#cursor = cursor;
    this.#changed = true;
  }

  container(name: string): number | undefined {
    return this.#containers.get(name);
  }
  readContainer(name: string, since: number): void {
    this.#containers.set(name, since);
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
    const text = JSON.stringify({ at: this.#now(), cursor: this.#cursor, containers });
    this.#keeping = this.#keeping
      .then(() => writeWhole(this.#file, text))
      .catch((error: unknown) => {
        if (!(error instanceof FleetError)) throw error;
        this.#log.warn({ err: error }, "where logs were left cannot be kept");
      });
    return this.#keeping;
  }
}
