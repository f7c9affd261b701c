/**
 * Whether the broker stores what it is given. A full disk leaves a stream that can be read and takes nothing any more, without an answer, until nats-server is
 * started anew (measured on 2.15.2); telemetry goes on all the while. The lease, written every second, is what notices.
 */
import type { FleetError } from "@muster/protocol/errors";

export class Storage {
  #stalled_since: number | null = null;

  /** Since when nothing is stored, milliseconds since 1970; null while all is well. */
  get stalled_since(): number | null {
    return this.#stalled_since;
  }

  /** Something was stored, or refused by a stream that is well. */
  answered(): void {
    this.#stalled_since = null;
  }

  /** A write was not answered, or answered with an error; a broker that is away is another matter, which everybody sees. */
  failed(error: FleetError, now_ms: number): void {
    if (error.code === "TIMEOUT" || error.code === "FAILED") this.#stalled_since ??= now_ms;
  }
}
