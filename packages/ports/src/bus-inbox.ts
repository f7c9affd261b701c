/**
 * Answers to our requests: one subscription for all of them, a random token in the reply subject for each. Requests that
 * the broker refuses or that the connection takes with it are told so at once, instead of running into their time limit.
 */
import { randomBytes, randomUUID } from "node:crypto";
import { FleetError } from "@muster/protocol/errors";
import { patterns } from "@muster/protocol/subjects";
import type { BusMessage } from "./bus-link.ts";

/** How many requests may wait at once. */
const WAITING_LIMIT = 100_000;

type Waiting = {
  readonly subject: string;
  readonly on_message: (message: BusMessage) => void;
  readonly on_error: (error: FleetError) => void;
};

export class Inbox {
  readonly subject: string;
  /** Where those answer whom a broadcast reaches, each under an own subject (see `subjects.ts`). */
  readonly answers: string;
  readonly #base: string;
  readonly #waiting = new Map<string, Waiting>();

  constructor(prefix: string) {
    this.#base = `${prefix}.${randomBytes(12).toString("hex")}`;
    this.subject = `${this.#base}.*`;
    this.answers = patterns.answers(this.#base);
  }

  /** A place for answers to a request on `subject`: give `reply` to the request and call `end` when done. */
  open(waiting: Waiting): { reply: string; end: () => void } {
    if (this.#waiting.size >= WAITING_LIMIT)
      throw new FleetError("TOO_LARGE", `${WAITING_LIMIT} requests wait already`);
    // Of all that node:crypto makes at random this alone is made ahead: 20 µs less a request.
    const token = randomUUID();
    this.#waiting.set(token, waiting);
    return { reply: `${this.#base}.${token}`, end: () => void this.#waiting.delete(token) };
  }

  deliver(message: BusMessage): void {
    this.#waiting.get(message.subject.slice(message.subject.lastIndexOf(".") + 1))?.on_message(message);
  }

  /** The broker refused a subject: every request on it is over, or all of them when it was our inbox. */
  denied(operation: "publish" | "subscription", subject: string): void {
    for (const waiting of [...this.#waiting.values()]) {
      if (operation === "publish" ? waiting.subject === subject : subject === this.subject) {
        waiting.on_error(new FleetError("BUS_DENIED", `${operation} ${subject}`));
      }
    }
  }

  /** The connection is gone, and every answer with it. */
  lost(error: FleetError): void {
    for (const waiting of [...this.#waiting.values()]) waiting.on_error(error);
    this.#waiting.clear();
  }
}
