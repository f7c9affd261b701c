/**
 * Where the agent stands, in one place: with the broker, its enrolment, its desired state. From it come the convergence sample, the text that
 * `systemctl status` shows, and the file that `muster-agent status` reads.
 */
import type { Convergence } from "@muster/protocol";
import { watched } from "@muster/protocol/telemetry/convergence";

export type Bearings = {
  /** Name under which this host is enrolled; null while it is not. */
  readonly host: string | null;
  readonly id: string | null;
  /** How far enrolment is, for people; null once it is done. */
  readonly enrolment: string | null;
  /** Why there is no connection to the broker; null while there is one. */
  readonly broker: string | null;
  readonly convergence: Convergence;
};

export class Standing {
  #now: Bearings;
  readonly #listeners = new Set<(bearings: Bearings) => void>();
  readonly #clock: () => number;

  constructor(agent_version: string, clock: () => number) {
    this.#clock = clock;
    this.#now = {
      host: null,
      id: null,
      enrolment: "starting",
      broker: "not tried yet",
      convergence: watched(clock(), agent_version),
    };
  }

  get now(): Bearings {
    return this.#now;
  }

  /** Changes the bearings; listeners hear only of real changes. */
  set(change: Partial<Omit<Bearings, "convergence">>): void {
    this.#replace({ ...this.#now, ...change });
  }

  /**
   * Changes the desired state's part; `since` follows the state. `anew`: it came to this state once more, such as by a second manifest that is
   * refused with the same words; whoever waits for an answer to it knows it by the time.
   */
  converge(
    change: Partial<Omit<Convergence, "at" | "since">>,
    { anew = false }: { anew?: boolean } = {},
  ): void {
    const before = this.#now.convergence;
    const at = this.#clock();
    const same = change.state === undefined || change.state === before.state;
    const since = same && !anew ? before.since : at;
    this.#replace({ ...this.#now, convergence: { ...before, ...change, at, since } });
  }

  /** Says again where the host stands, though nothing changed: what was said without a connection reached nobody. */
  repeat(): void {
    for (const listener of this.#listeners) listener(this.#now);
  }

  listen(listener: (bearings: Bearings) => void): void {
    this.#listeners.add(listener);
  }

  #replace(next: Bearings): void {
    const same = JSON.stringify(timeless(next)) === JSON.stringify(timeless(this.#now));
    this.#now = next;
    if (!same) for (const listener of this.#listeners) listener(next);
  }
}

const timeless = (bearings: Bearings) => ({ ...bearings, convergence: { ...bearings.convergence, at: 0 } });

/** One line for `systemctl status`. */
export function statusLine(bearings: Bearings): string {
  const { host, enrolment, broker, convergence } = bearings;
  if (enrolment !== null) return enrolment;
  const where = `enrolled as ${host ?? "?"}`;
  const state =
    convergence.generation === null && convergence.state === "watched"
      ? "watched, no desired state yet"
      : `generation ${convergence.generation ?? "?"} ${convergence.state}`;
  const detail = convergence.detail === "" ? "" : `: ${convergence.detail.slice(0, 200)}`;
  const line = broker === null ? "" : `; waiting for the broker: ${broker}`;
  return `${where}, ${state}${detail}${line}`;
}
