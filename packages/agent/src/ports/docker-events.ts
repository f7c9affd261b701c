/**
 * The engine's event stream: one connection for all that want to hear of it, followed through its restarts. What happened while nobody was connected is asked
 * for when it opens, as far as the engine still has it.
 */
import { backoff_ms, pause } from "../wait.ts";
import type { DockerEngine } from "./docker.ts";
import { ContainerEndings } from "./docker-ends.ts";
import type { StreamNews } from "./docker-memory.ts";
import { lineSplitter } from "./lines.ts";

/** An engine that comes back is heard of so soon at the latest. */
const RETRY_LIMIT_MS = 5_000;
/** So far back it is asked at first; it keeps its last 256 events. */
const PAST_MS = 3_600_000;
const LINE_LIMIT = 64 * 1024;
/** What a health check and `docker exec` do all the time is no change. */
const QUIET = /^(exec_|top|attach|resize|archive-path|extract-to-dir|export|copy)/;
const TYPES = ["container", "network", "volume", "image"] as const;

export type EngineEvent = {
  readonly Type?: unknown;
  readonly Action?: unknown;
  readonly Actor?: { readonly ID?: unknown; readonly Attributes?: Readonly<Record<string, string>> };
  /** Seconds, and nanoseconds, since 1970. */
  readonly time?: unknown;
  readonly timeNano?: unknown;
};

type Listener = {
  /** Null for what could not be read, which may be anything. */
  heard(event: EngineEvent | null): void;
  /** The stream is there again, or has broken off: anything may have happened. */
  turned(): void;
};

/** @param news hears of everything before those who listen do, and only of streams that stand */
export class EngineEvents {
  readonly endings = new ContainerEndings();
  readonly #engine: () => Promise<DockerEngine>;
  readonly #news: StreamNews;
  readonly #listeners = new Set<Listener>();
  #life: AbortController | null = null;
  /** Streams that stand: one, or for a moment the one that goes beside the one that comes. */
  #streams = 0;
  #since_ms: number | null = null;

  constructor(engine: () => Promise<DockerEngine>, news: StreamNews) {
    this.#engine = engine;
    this.#news = news;
  }

  /** What happens is heard of at this moment. */
  get open(): boolean {
    return this.#streams > 0;
  }

  /** Calls `changed` for what concerns these names or Muster's own, and each time that the engine is there again. */
  follow(names: ReadonlySet<string>, changed: () => void, signal: AbortSignal): void {
    const heard = (event: EngineEvent | null) => {
      if (concerns(event, names)) changed();
    };
    this.#listen({ heard, turned: changed }, signal);
  }

  /** Calls `changed` with the id of each container to which something happened; with null where that may be any. */
  watch(changed: (id: string | null) => void, signal: AbortSignal): void {
    const heard = (event: EngineEvent | null) => {
      if (event === null) changed(null);
      else if (event.Type === "container" && !isQuiet(event))
        changed(typeof event.Actor?.ID === "string" ? event.Actor.ID : null);
    };
    this.#listen({ heard, turned: () => changed(null) }, signal);
  }

  /** The first opens the connection, the last closes it. */
  #listen(listener: Listener, signal: AbortSignal): void {
    if (signal.aborted) return;
    this.#listeners.add(listener);
    const leave = () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0) return;
      this.#life?.abort();
      this.#life = null;
    };
    signal.addEventListener("abort", leave, { once: true });
    if (this.#life !== null) return;
    this.#life = new AbortController();
    void this.#run(this.#life.signal);
  }

  async #run(signal: AbortSignal): Promise<void> {
    let stood_before = false;
    for (let attempt = 0; !signal.aborted; attempt++) {
      let stood = false;
      try {
        const stream = await this.#connect(signal);
        stood = true;
        this.#set(true);
        if (stood_before) this.#each((listener) => listener.turned());
        const split = lineSplitter(LINE_LIMIT);
        const text = new TextDecoder();
        for await (const part of stream as AsyncIterable<Buffer>)
          for (const line of split(text.decode(part, { stream: true }))) if (line !== "") this.#take(line);
      } catch {
        // Not there, or gone: what is red because of that is told by the loops' own look.
      }
      if (stood) {
        attempt = 0;
        stood_before = true;
        this.#set(false);
        if (!signal.aborted) this.#each((listener) => listener.turned());
      }
      await pause(Math.min(RETRY_LIMIT_MS, backoff_ms(attempt)), signal);
    }
  }

  async #connect(abortSignal: AbortSignal): Promise<NodeJS.ReadableStream> {
    const docker = await this.#engine();
    const since = ((this.#since_ms ?? Date.now() - PAST_MS) / 1_000).toFixed(3);
    const filters = { type: [...TYPES] };
    return docker.getEvents({ since: since as unknown as number, filters, abortSignal });
  }

  #set(open: boolean): void {
    this.#streams += open ? 1 : -1;
    if (open) this.#news.opened();
    else this.#news.closed();
  }

  #take(line: string): void {
    const event = eventOf(line);
    if (!isQuiet(event)) this.#news.happened();
    if (event !== null) {
      this.endings.heard(event);
      // A little before, since the engine may write them in another order than they happened; the same one twice does no harm.
      if (typeof event.time === "number") this.#since_ms = (event.time - 1) * 1_000;
    }
    this.#each((listener) => listener.heard(event));
  }

  #each(tell: (listener: Listener) => void): void {
    for (const listener of [...this.#listeners]) tell(listener);
  }
}

/** Null for what cannot be read, which may be anything. */
function eventOf(line: string): EngineEvent | null {
  try {
    const event: unknown = JSON.parse(line);
    return typeof event === "object" ? event : null;
  } catch {
    return null;
  }
}

const isQuiet = (event: EngineEvent | null) => typeof event?.Action === "string" && QUIET.test(event.Action);

function concerns(event: EngineEvent | null, names: ReadonlySet<string>): boolean {
  if (event === null) return true;
  // An image's name is none of ours, and what is fetched wakes nobody.
  if (event.Type === "image" || isQuiet(event)) return false;
  const attributes = event.Actor?.Attributes ?? {};
  return names.has(attributes.name ?? "") || Object.keys(attributes).some((key) => key.startsWith("muster."));
}
