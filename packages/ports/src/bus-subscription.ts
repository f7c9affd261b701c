/**
 * A subscription that outlives connections: what it is for, and the queue in front of its handler. At most `concurrency`
 * calls run at once and at most `pending_limit` messages wait; what comes beyond is dropped and counted, since a slow
 * handler must not take the process with it.
 */
import type { BusMessage } from "./bus-link.ts";

export type Handler = (message: BusMessage) => void | Promise<void>;

export type SubscribeOptions = {
  /** Subscribers of one queue share the messages. */
  readonly queue?: string;
  readonly concurrency?: number;
  readonly pending_limit?: number;
};

export type SubscriptionReport =
  | { readonly type: "handler_failed"; readonly subject: string; readonly error: unknown }
  | { readonly type: "dropped"; readonly subject: string; readonly count: number };

export class BusSubscription {
  readonly subject: string;
  readonly queue: string | undefined;
  readonly #handler: Handler;
  readonly #report: (report: SubscriptionReport) => void;
  readonly #concurrency: number;
  readonly #pending_limit: number;
  #pending: BusMessage[] = [];
  #running = 0;
  #dropped = 0;
  #ended = false;
  #idle: (() => void)[] = [];

  constructor(
    subject: string,
    options: SubscribeOptions,
    handler: Handler,
    report: (report: SubscriptionReport) => void,
  ) {
    this.subject = subject;
    this.queue = options.queue;
    this.#handler = handler;
    this.#report = report;
    this.#concurrency = options.concurrency ?? 16;
    this.#pending_limit = options.pending_limit ?? 1_024;
  }

  deliver(message: BusMessage): void {
    if (this.#ended) return;
    if (this.#running < this.#concurrency) {
      void this.#run(message);
    } else if (this.#pending.length < this.#pending_limit) {
      this.#pending.push(message);
    } else {
      this.#dropped++;
      // The first, and then at every doubling: a flood must not flood the log.
      if ((this.#dropped & (this.#dropped - 1)) === 0) {
        this.#report({ type: "dropped", subject: this.subject, count: this.#dropped });
      }
    }
  }

  /** Takes nothing more; resolves when everything taken has been handled. */
  async drain(): Promise<void> {
    this.#ended = true;
    if (this.#running === 0) return;
    await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  async #run(first: BusMessage): Promise<void> {
    this.#running++;
    let message: BusMessage | undefined = first;
    while (message !== undefined) {
      try {
        await this.#handler(message);
      } catch (error) {
        this.#report({ type: "handler_failed", subject: message.subject, error });
      }
      message = this.#pending.shift();
    }
    this.#running--;
    if (this.#running === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }
}
