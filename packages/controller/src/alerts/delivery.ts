/**
 * One route on its way: a message is stored, sent, and tried again until it gets through; meanwhile what else happens waits in the alerts themselves, so that nothing
 * piles up. Whoever takes over sends what was on its way under the same id.
 */
import { randomBytes } from "node:crypto";
import type { Log } from "@muster/ports/log";
import type { Alert, RouteStanding } from "@muster/protocol/alert";
import type { AlertRoute } from "@muster/protocol/alerting";
import { FleetError } from "@muster/protocol/errors";
import type { AlertBook } from "./book.ts";
import { type Batch, batchFor, freshRoute, type RouteState } from "./route-state.ts";
import { send } from "./routes/index.ts";

const RETRY_FIRST_MS = 5_000;
const RETRY_LONGEST_MS = 300_000;
/** What nobody took for so long is no news: who is there again is told how things stand then. */
const GIVE_UP_MS = 24 * 3_600_000;

export type DeliveryPorts = {
  readonly fleet: string;
  readonly book: AlertBook;
  readonly log: Log;
  readonly now: () => number;
  secret(text: string): Promise<string>;
  /** Errors are told and do not hold the message up: once too often is better than never. */
  store(name: string, state: RouteState): Promise<unknown>;
  /** What the book says is told is stored before the message is taken off the way: who dies between the two sends it again under its id. */
  storeBook(): Promise<void>;
  readonly signal: AbortSignal;
};

export class Delivery {
  readonly name: string;
  route: AlertRoute;
  readonly #ports: DeliveryPorts;
  readonly #state: RouteState;
  #sending: Promise<void> | null = null;
  #tries = 0;
  #next_at = 0;

  constructor(name: string, route: AlertRoute, state: RouteState | undefined, ports: DeliveryPorts) {
    this.name = name;
    this.route = route;
    this.#state = state ?? freshRoute();
    this.#ports = ports;
  }

  standing(): RouteStanding {
    const { ok_at, failing_since, error, batch } = this.#state;
    return {
      name: this.name,
      to: this.route.to,
      ok_at,
      failing_since,
      error,
      waiting: batch === null ? 0 : 1,
    };
  }

  /** Begins to send what is due, without waiting for it. */
  look(quiet: (alert: Alert) => string | null): void {
    const { now, book } = this.#ports;
    const wait_ms = this.#next_at - now();
    // A longer one is a clock that was set back.
    if (this.#sending !== null || (wait_ms > 0 && wait_ms <= 2 * RETRY_LONGEST_MS)) return;
    const id = randomBytes(12).toString("hex");
    const known = this.#state.batch;
    const batch = known ?? batchFor(this.name, this.route, book.alerts(), quiet, now(), id);
    if (batch === null) return;
    this.#sending = this.#deliver(batch, known === null).finally(() => {
      this.#sending = null;
    });
  }

  /** Resolves when nothing is being sent. Errors that are none of the table come through. */
  async settled(): Promise<void> {
    await this.#sending;
  }

  async #deliver(batch: Batch, fresh: boolean): Promise<void> {
    const { fleet, log, now, secret, signal } = this.#ports;
    // An Alertmanager is told all again in a minute: there is nothing to keep.
    const kept = this.route.to !== "alertmanager";
    this.#state.batch = batch;
    if (fresh && kept) await this.#ports.store(this.name, this.#state);
    try {
      await send({ ...batch, fleet }, this.route, { secret, signal });
      const recovered = this.#state.failing_since !== null;
      Object.assign(this.#state, { batch: null, ok_at: now(), failing_since: null, error: "" });
      this.#tries = 0;
      this.#next_at = 0;
      this.#ports.book.told(this.name, batch.items, Math.min(batch.at, now()), kept);
      await this.#ports.storeBook();
      if (recovered) log.info({ route: this.name }, "an alert route works again");
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      if (signal.aborted) return;
      this.#tries += 1;
      const wait_ms = Math.min(RETRY_LONGEST_MS, RETRY_FIRST_MS * 2 ** Math.min(this.#tries - 1, 10));
      this.#next_at = now() + wait_ms * (0.75 + Math.random() / 2);
      this.#state.failing_since ??= now();
      this.#state.error = error.message.slice(0, 500);
      log.warn({ err: error, route: this.name, tries: this.#tries }, "an alert route fails");
      if (!kept || now() - batch.at > GIVE_UP_MS) this.#state.batch = null;
    }
    if (kept || this.#tries === 1) await this.#ports.store(this.name, this.#state);
  }
}
