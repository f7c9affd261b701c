/**
 * Whether the broker stores what it is given. A full disk leaves a stream that can be read and takes nothing any more, without an answer, until nats-server is
 * started anew (measured on 2.15.2); telemetry goes on all the while. It is one stream and not the other: that of the lease, written every second, may go on
 * where its old values made room again. So each writer tells of its own stream.
 */
import { FleetError } from "@muster/protocol/errors";

export class Storage {
  readonly #now: () => number;
  /** By writer, since when its stream takes nothing. */
  readonly #failing = new Map<string, number>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Since when something is not stored, milliseconds since 1970; null while all is well. */
  get stalled_since(): number | null {
    return this.#failing.size === 0 ? null : Math.min(...this.#failing.values());
  }

  /** Something was stored, or refused by a stream that is well. */
  answered(writer: string): void {
    this.#failing.delete(writer);
  }

  /** This writer writes no more, so nothing would tell that all is well again. */
  forget(writer: string): void {
    this.#failing.delete(writer);
  }

  /** A write was not answered, or answered with an error; a broker that is away is another matter, which everybody sees. */
  failed(writer: string, error: FleetError): void {
    const stalls = error.code === "TIMEOUT" || error.code === "FAILED";
    if (stalls && !this.#failing.has(writer)) this.#failing.set(writer, this.#now());
  }

  /** Stores something, and takes note of what comes of it. Errors: those of `store`. */
  async noted<T>(writer: string, store: () => Promise<T>): Promise<T> {
    try {
      const stored = await store();
      this.answered(writer);
      return stored;
    } catch (error) {
      if (error instanceof FleetError) this.failed(writer, error);
      throw error;
    }
  }
}
