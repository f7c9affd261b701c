/**
 * What the engine told is remembered while its own events say that nothing happened since: a host at rest asks every half minute for each container, its image and
 * networks, some fifteen requests, and gets the same. An engine that hangs must still show at once: before anything is said from memory it has answered one
 * small question. Nothing is remembered without a living event stream, soon after an event or an act of our own, or for long.
 */
import { FleetError } from "@muster/protocol/errors";
import type { Docker } from "./docker.ts";

/** An event may come a moment after what it tells of. */
const SETTLED_MS = 5_000;
/** An engine that answers for itself may still hang over one container. */
const KEPT_MS = 120_000;
/** Of each container, network and image some hundred bytes. */
const REMEMBERED = 1_000;
/** For so long one answer stands for that the engine answers. */
const ANSWERED_MS = 1_000;

/** The event stream, as the memory hears of it. */
export type StreamNews = { opened(): void; closed(): void; happened(): void };

export class EngineMemory implements StreamNews {
  readonly #settled_ms: number;
  readonly #known = new Map<string, { readonly value: unknown; readonly asked_at: number }>();
  #streams = 0;
  /** When something last happened, or might have unseen. */
  #happened_at = Number.NEGATIVE_INFINITY;
  #answered_at = Number.NEGATIVE_INFINITY;
  #pinging: Promise<unknown> | null = null;

  constructor(settled_ms = SETTLED_MS) {
    this.#settled_ms = settled_ms;
  }

  opened(): void {
    this.#streams += 1;
    this.happened();
  }

  closed(): void {
    this.#streams -= 1;
    this.happened();
  }

  happened(): void {
    this.#happened_at = performance.now();
    this.#known.clear();
  }

  /** What was told of `what`, if that still holds and the engine answers a `ping`; else what it tells when it is `ask`ed. Errors: theirs. */
  async told<T>(what: string, ask: () => Promise<T>, ping: () => Promise<unknown>): Promise<T> {
    const known = this.#known.get(what);
    if (known !== undefined && performance.now() - known.asked_at < KEPT_MS) {
      await this.#alive(ping);
      // It may have happened while we asked.
      if (this.#known.get(what) === known) return known.value as T;
    }
    const asked_at = performance.now();
    const value = await ask();
    this.#answered_at = performance.now();
    const settled = this.#streams > 0 && asked_at - this.#happened_at >= this.#settled_ms;
    if (settled && this.#known.size < REMEMBERED) this.#known.set(what, { value, asked_at });
    else this.#known.delete(what);
    return value;
  }

  async #alive(ping: () => Promise<unknown>): Promise<void> {
    if (performance.now() - this.#answered_at < ANSWERED_MS) return;
    try {
      if (this.#pinging !== null) return void (await this.#pinging);
    } catch (error) {
      // Whoever asked gave up; that says nothing of the engine.
      if (!(error instanceof FleetError) || error.code !== "CANCELLED") throw error;
    }
    const own = ping();
    this.#pinging = own;
    try {
      await own;
      this.#answered_at = performance.now();
    } finally {
      if (this.#pinging === own) this.#pinging = null;
    }
  }
}

const ACTS = [
  ...(["pull", "tag", "removeImage", "create", "start", "stop", "restart", "unpause", "rename"] as const),
  ...(["setRestart", "remove", "signal", "exec", "attach", "detach"] as const),
  ...(["createNetwork", "removeNetwork", "createVolume", "removeVolume"] as const),
];

/** The same engine, asked again only for what may have changed. */
export function remembering(
  docker: Docker,
  memory: EngineMemory,
  ping: (signal: AbortSignal) => Promise<unknown>,
): Docker {
  type Act = (...args: readonly unknown[]) => Promise<unknown>;
  const acts = ACTS.map((name) => {
    const act = docker[name] as Act;
    const told: Act = async (...args) => {
      memory.happened();
      try {
        return await act(...args);
      } finally {
        memory.happened();
      }
    };
    return [name, told] as const;
  });
  const told =
    <T>(what: string, read: (name: string, signal: AbortSignal) => Promise<T>) =>
    (name: string, signal: AbortSignal): Promise<T> =>
      memory.told(
        `${what} ${name}`,
        () => read(name, signal),
        () => ping(signal),
      );
  return {
    ...docker,
    ...(Object.fromEntries(acts) as Pick<Docker, (typeof ACTS)[number]>),
    container: told("container", docker.container),
    network: told("network", docker.network),
    volume: told("volume", docker.volume),
    image: told("image", docker.image),
  };
}
