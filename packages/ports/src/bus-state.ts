/**
 * The state of a bus: its present connection, the subscriptions that it takes along, and the loop that dials from loss to
 * loss until the end of its life.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { FleetError } from "@muster/protocol/errors";
import type { BusEvent, BusOptions } from "./bus.ts";
import { Inbox } from "./bus-inbox.ts";
import { type BusMessage, type BusServer, dial, type Link } from "./bus-link.ts";
import { BusSubscription, type Handler, type SubscribeOptions } from "./bus-subscription.ts";

const DRAIN_LIMIT_MS = 5_000;

export class BusState {
  link: Link | undefined;
  readonly #options: BusOptions;
  readonly #servers: () => BusServer[];
  readonly #inbox: Inbox;
  #hears = false;
  readonly #subscriptions = new Map<BusSubscription, (() => void) | undefined>();
  readonly #listeners = new Set<(event: BusEvent) => void>();
  /** Ends with `close()` or with the caller's signal. */
  readonly #life = new AbortController();
  readonly #signal: AbortSignal;
  #hurry = false;
  #wake: (() => void)[] = [];

  constructor(options: BusOptions, servers: () => BusServer[], signal: AbortSignal) {
    this.#options = options;
    this.#servers = servers;
    this.#signal = signal;
    this.#inbox = new Inbox(options.inbox_prefix);
    if (options.on_status !== undefined) this.#listeners.add(options.on_status);
  }

  async start(): Promise<void> {
    if (this.#signal.aborted) throw new FleetError("CANCELLED", "before connecting");
    this.#signal.addEventListener("abort", () => void this.close(), {
      once: true,
      signal: this.#life.signal,
    });
    try {
      await this.#dialUntilConnected("connected", this.#options.first_connect === "once");
    } catch (error) {
      this.#life.abort();
      throw error;
    }
    void this.#stay();
  }

  send(subject: string, body: Uint8Array, headers?: Readonly<Record<string, string>>, reply?: string): void {
    if (this.link === undefined) throw new FleetError("BUS_UNREACHABLE", `${subject}: not connected`);
    if (body.length > this.link.max_payload_bytes) {
      throw new FleetError(
        "TOO_LARGE",
        `${subject}: ${body.length} bytes, the limit is ${this.link.max_payload_bytes}`,
      );
    }
    this.link.publish(subject, body, {
      ...(reply === undefined ? {} : { reply }),
      ...(headers === undefined ? {} : { headers }),
    });
  }

  /** From now on answers to broadcasts are heard, also after a reconnect. */
  hearBroadcasts(): void {
    if (this.#hears) return;
    this.#hears = true;
    this.subscribe(this.#inbox.answers, { concurrency: 64, pending_limit: 100_000 }, (message) =>
      this.#inbox.deliver(message),
    );
  }

  ask(
    subject: string,
    body: Uint8Array,
    headers: Readonly<Record<string, string>> | undefined,
    waiting: { on_message: (message: BusMessage) => void; on_error: (error: FleetError) => void },
  ): () => void {
    const place = this.#inbox.open({ subject, ...waiting });
    try {
      this.send(subject, body, headers, place.reply);
    } catch (error) {
      place.end();
      throw error;
    }
    return place.end;
  }

  subscribe(subject: string, options: SubscribeOptions, handler: Handler): () => void {
    const subscription = new BusSubscription(subject, options, handler, (report) => this.#emit(report));
    this.#subscriptions.set(subscription, this.#attach(subscription));
    return () => {
      this.#subscriptions.get(subscription)?.();
      this.#subscriptions.delete(subscription);
    };
  }

  listen(listener: (event: BusEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async roundTrip(timeout_ms: number): Promise<number> {
    const { link } = this;
    if (link === undefined) throw new FleetError("BUS_UNREACHABLE", "not connected");
    const began = performance.now();
    await within(link.flush(), timeout_ms, "round trip to the broker");
    return performance.now() - began;
  }

  async reconnect(): Promise<void> {
    this.#hurry = true;
    const back = new Promise<void>((resolve) => this.#wake.push(resolve));
    await this.link?.close();
    await back;
    if (this.#life.signal.aborted) throw new FleetError("CANCELLED", "the bus was closed");
  }

  async close(): Promise<void> {
    if (this.#life.signal.aborted) return;
    for (const detach of this.#subscriptions.values()) detach?.();
    const drained = Promise.all([...this.#subscriptions.keys()].map((subscription) => subscription.drain()));
    const { link } = this;
    try {
      await within(drained, DRAIN_LIMIT_MS, "handlers");
      if (link !== undefined) await within(link.flush(), DRAIN_LIMIT_MS, "last messages");
    } catch (error) {
      // A handler that hangs or a broker that is gone does not keep us from ending.
      if (!(error instanceof FleetError)) throw error;
    }
    this.#life.abort();
    this.#inbox.lost(new FleetError("CANCELLED", "the bus was closed"));
    await link?.close();
    for (const resolve of this.#wake.splice(0)) resolve();
  }

  /** From loss to loss, until the end of life. */
  async #stay(): Promise<void> {
    while (this.link !== undefined) {
      const { link } = this;
      const error = await link.closed;
      this.link = undefined;
      for (const subscription of this.#subscriptions.keys()) this.#subscriptions.set(subscription, undefined);
      if (this.#life.signal.aborted) return;
      this.#inbox.lost(error);
      this.#emit({ type: "disconnected", server: link.address, error });
      if (!this.#hurry) await this.#pause(this.#jitter());
      this.#hurry = false;
      try {
        await this.#dialUntilConnected("reconnected", false);
      } catch (failure) {
        // `close()` may still be draining: then only the caller's signal has aborted.
        if (this.#life.signal.aborted || this.#signal.aborted) return;
        throw failure;
      }
      for (const resolve of this.#wake.splice(0)) resolve();
    }
  }

  async #dialUntilConnected(type: "connected" | "reconnected", once: boolean): Promise<void> {
    let last: FleetError | undefined;
    while (!this.#life.signal.aborted && !this.#signal.aborted) {
      try {
        this.link = await this.#dialRound();
        for (const subscription of this.#subscriptions.keys()) {
          this.#subscriptions.set(subscription, this.#attach(subscription));
        }
        this.link.subscribe(this.#inbox.subject, undefined, (message) => this.#inbox.deliver(message));
        this.#emit({ type, server: this.link.address });
        return;
      } catch (error) {
        if (!(error instanceof FleetError) || once) throw error;
        last = error;
        const next_ms = this.#jitter();
        this.#emit({ type: error.code === "NOT_LOGGED_IN" ? "auth_failed" : "unreachable", error, next_ms });
        await this.#pause(next_ms);
      }
    }
    throw new FleetError("CANCELLED", last === undefined ? "" : last.message, { cause: last });
  }

  /** Every server once, in random order; the most telling error when none takes us. */
  async #dialRound(): Promise<Link> {
    const credentials = (await this.#options.credentials?.()) ?? null;
    let worst: FleetError | undefined;
    for (const server of shuffled(this.#servers())) {
      if (this.#life.signal.aborted) break;
      try {
        const link = await dial({
          server,
          ca_pem: this.#options.ca_pem,
          server_name: this.#options.server_name,
          handshake_first: this.#options.handshake_first ?? false,
          name: this.#options.name,
          inbox_prefix: this.#options.inbox_prefix,
          credentials,
          connect_timeout_ms: this.#options.connect_timeout_ms ?? 5_000,
          ping_interval_ms: this.#options.ping_interval_ms ?? 30_000,
          on_denied: (operation, subject) => {
            this.#inbox.denied(operation, subject);
            this.#emit({ type: "denied", operation, subject });
          },
        });
        if (!this.#life.signal.aborted) return link;
        await link.close();
      } catch (error) {
        if (!(error instanceof FleetError)) throw error;
        if (worst === undefined || worst.code === "BUS_UNREACHABLE") worst = error;
      }
    }
    throw worst ?? new FleetError("CANCELLED", "the bus was closed");
  }

  #attach(subscription: BusSubscription): (() => void) | undefined {
    return this.link?.subscribe(subscription.subject, subscription.queue, (message) =>
      subscription.deliver(message),
    );
  }

  #emit(event: BusEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }

  #jitter(): number {
    return Math.round(Math.random() * (this.#options.reconnect_max_ms ?? 10_000));
  }

  async #pause(duration_ms: number): Promise<void> {
    const woken = new AbortController();
    const stop = (): void => woken.abort();
    this.#life.signal.addEventListener("abort", stop);
    this.#signal.addEventListener("abort", stop);
    if (this.#life.signal.aborted || this.#signal.aborted) stop();
    try {
      await sleep(duration_ms, undefined, { signal: woken.signal });
    } catch (error) {
      if (!woken.signal.aborted) throw error;
    } finally {
      this.#life.signal.removeEventListener("abort", stop);
      this.#signal.removeEventListener("abort", stop);
    }
  }
}

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

async function within<T>(work: Promise<T>, timeout_ms: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new FleetError("TIMEOUT", `${what}: ${timeout_ms} ms`)), timeout_ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
