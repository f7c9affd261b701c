/**
 * The streams that a host feeds: the answering side of `stream-call.ts`. A streamed method opens one and answers with its id at once; its chunks are
 * fetched with `next`, whose request is the credit for one message of them. Nothing is sent unasked, so no right to answer outlives two minutes.
 * What was handed out is kept until the next request says that it arrived: a lost answer is fetched again, anything else is an error that is told.
 */
import { FleetError } from "@muster/protocol/errors";
import type {
  OpenedStream,
  RpcReply,
  RpcRequest,
  StreamChunk,
  StreamEnd,
  StreamMethod,
} from "@muster/protocol/rpc/index";
import { type Call, randomId } from "./dispatch.ts";

/** Unfinished ones. A waiting `next` holds a place of the dispatcher's 16: half of them stay free for everything else. */
export const STREAMS_LIMIT = 8;
/** Finished ones that are kept in case that their last answer was lost. */
const KEPT_LIMIT = 32;
export const CHUNK_BYTES = 64 * 1024;
/** What waits to be fetched, and the most in one answer: the feed waits above it. */
const BUFFER_BYTES = 256 * 1024;
/** An answer without chunks comes after this, so that the asker knows that the host is there. */
const PATIENCE_MS = 10_000;
/** Between two answers, unless there is a whole one: many small chunks shall not become as many signed requests. */
const GATHER_MS = 50;
/** Without a request for this long nobody reads any more. */
export const LAPSE_MS = 60_000;

/** Resolves when there is room for more. Errors: CANCELLED when nobody wants it any more. */
export type Write<M extends StreamMethod> = (chunk: StreamChunk<M>) => Promise<void>;

/** Writes chunks and returns what the end marker says. The signal aborts when the asker stops, goes away, or the host's program ends. */
export type Feed<M extends StreamMethod> = (write: Write<M>, signal: AbortSignal) => Promise<StreamEnd<M>>;

export type StreamsOptions = {
  /** Hears of a feed that failed by a mistake in the program. */
  readonly on_mistake: (method: string, error: unknown) => void;
  readonly lapse_ms?: number;
  readonly patience_ms?: number;
};

type Answer = RpcReply<"next">;
type Chunk = Answer["chunks"][number];

export class Streams {
  readonly #streams = new Map<string, Stream>();
  readonly #options: StreamsOptions;
  readonly #signal: AbortSignal;

  /** All end with the signal. */
  constructor(options: StreamsOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
  }

  /** Opens a stream for who called. Errors: TOO_LARGE when too many are open. */
  open<M extends StreamMethod>(call: Call, feed: Feed<M>): OpenedStream {
    const open = [...this.#streams.values()];
    if (open.filter((each) => !each.over).length >= STREAMS_LIMIT)
      throw new FleetError("TOO_LARGE", `${STREAMS_LIMIT} streams are open on this host; end one of them`);
    const kept = open.filter((each) => each.over);
    for (const each of kept.slice(0, Math.max(0, kept.length - KEPT_LIMIT + 1))) this.#drop(each);
    const stream = new Stream(
      ownerOf(call),
      this.#options.patience_ms ?? PATIENCE_MS,
      () => this.#drop(stream),
      this.#options.lapse_ms ?? LAPSE_MS,
    );
    this.#streams.set(stream.id, stream);
    stream.run(call.method, feed as unknown as AnyFeed, this.#options.on_mistake, this.#signal);
    return { stream: stream.id };
  }

  /** Answers `next`. Errors: NOT_FOUND (also for a stream of somebody else), INVALID for a number that is neither next nor last. */
  async next(request: RpcRequest<"next">, call: Call): Promise<Answer> {
    const stream = this.#streams.get(request.stream);
    // Somebody else's stream looks like none.
    if (stream === undefined || stream.owner !== ownerOf(call))
      throw new FleetError(
        "NOT_FOUND",
        "no such stream: nobody read it for a while, or the agent was restarted",
      );
    return stream.next(request, call.signal);
  }

  #drop(stream: Stream): void {
    this.#streams.delete(stream.id);
    stream.drop();
  }
}

const ownerOf = ({ principal }: Call): string => {
  if (principal === null) throw new FleetError("UNSIGNED", "a stream belongs to who opened it");
  return `${principal.rank} ${principal.name}`;
};

type AnyFeed = (write: (chunk: Chunk) => Promise<void>, signal: AbortSignal) => Promise<Chunk>;

class Stream {
  readonly id = randomId();
  readonly owner: string;
  readonly #patience_ms: number;
  readonly #lapse: NodeJS.Timeout;
  readonly #life = new AbortController();
  #queue: { chunk: Chunk; bytes: number }[] = [];
  #bytes = 0;
  /** Number of the first chunk in the queue. */
  #first = 0;
  /** The last answer, until the next request shows that it arrived. */
  #sent: Answer | null = null;
  #answered_ms = -Infinity;
  #end: Answer["end"] = null;
  #waiting: { wake: () => void; superseded: boolean } | null = null;
  #dropped = false;
  readonly #writers = new Set<() => void>();

  constructor(owner: string, patience_ms: number, lapsed: () => void, lapse_ms: number) {
    this.owner = owner;
    this.#patience_ms = patience_ms;
    this.#lapse = setTimeout(lapsed, lapse_ms).unref();
  }

  /** What fed it has ended, and all of it was handed out. */
  get over(): boolean {
    return this.#end !== null && this.#sent?.end != null;
  }

  run(method: string, feed: AnyFeed, on_mistake: StreamsOptions["on_mistake"], signal: AbortSignal): void {
    const stop = () => this.#life.abort(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    const fed = async () => feed((chunk) => this.#write(chunk), this.#life.signal);
    fed()
      .then(
        (ok): Answer["end"] => ({ ok }),
        (error: unknown): Answer["end"] => {
          if (error instanceof FleetError) return { error: error.toReply() };
          on_mistake(method, error);
          return { error: { code: "FAILED", detail: "a mistake in the agent; its log has the stack" } };
        },
      )
      .then((end) => {
        signal.removeEventListener("abort", stop);
        this.#end = end;
        this.#waiting?.wake();
      });
  }

  drop(): void {
    this.#dropped = true;
    clearTimeout(this.#lapse);
    this.#life.abort();
    this.#queue = [];
    this.#waiting?.wake();
  }

  async #write(chunk: Chunk): Promise<void> {
    const { signal } = this.#life;
    if (signal.aborted) throw new FleetError("CANCELLED", "nobody reads the stream any more");
    const bytes = Buffer.byteLength(JSON.stringify(chunk));
    if (bytes > CHUNK_BYTES) throw new TypeError(`a chunk of ${bytes} bytes; at most ${CHUNK_BYTES}`);
    this.#queue.push({ chunk, bytes });
    this.#bytes += bytes;
    this.#waiting?.wake();
    while (this.#bytes >= BUFFER_BYTES && !signal.aborted) await this.#room(signal);
  }

  #room(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const go = () => {
        this.#writers.delete(go);
        signal.removeEventListener("abort", go);
        resolve();
      };
      this.#writers.add(go);
      signal.addEventListener("abort", go, { once: true });
    });
  }

  async next({ from, stop }: RpcRequest<"next">, signal: AbortSignal): Promise<Answer> {
    this.#lapse.refresh();
    if (stop) this.#life.abort();
    // One asker at a time: who asks again has given up the request before.
    if (this.#waiting !== null) {
      this.#waiting.superseded = true;
      this.#waiting.wake();
      this.#waiting = null;
    }
    const given = this.#given(from);
    if (given !== null) return given;
    const superseded = await this.#ready(signal);
    // Meanwhile a request that gave up its place late may have taken the same chunks.
    const moved = this.#given(from);
    if (moved !== null) return moved;
    if (superseded) return { from, chunks: [], end: null };
    this.#sent = this.#take();
    this.#answered_ms = performance.now();
    this.#lapse.refresh();
    for (const go of this.#writers) go();
    return this.#sent;
  }

  /** The last answer where it is asked for once more; null where `from` is what comes next. Errors: INVALID for any other number. */
  #given(from: number): Answer | null {
    if (from === this.#first) return null;
    if (from === this.#sent?.from) return this.#sent;
    throw new FleetError("INVALID", `chunk ${from} is asked for, and ${this.#first} is next`);
  }

  /** Waits until there is something to hand out; true when a newer request has taken the place of this one. */
  async #ready(signal: AbortSignal): Promise<boolean> {
    const began = performance.now();
    while (!signal.aborted) {
      const now = performance.now();
      const full = this.#end !== null || this.#bytes >= BUFFER_BYTES;
      const until = this.#queue.length > 0 ? this.#answered_ms + GATHER_MS : began + this.#patience_ms;
      if (full || now >= until) return false;
      const place = { wake: () => {}, superseded: false };
      await new Promise<void>((resolve) => {
        const timer = setTimeout(() => place.wake(), until - now + 1);
        place.wake = () => {
          clearTimeout(timer);
          signal.removeEventListener("abort", place.wake);
          resolve();
        };
        signal.addEventListener("abort", place.wake, { once: true });
        this.#waiting = place;
      });
      if (place.superseded || this.#dropped) return true;
      this.#waiting = null;
    }
    return true;
  }

  #take(): Answer {
    const from = this.#first;
    const chunks: Chunk[] = [];
    let bytes = 0;
    for (const each of this.#queue) {
      if (chunks.length > 0 && bytes + each.bytes > BUFFER_BYTES) break;
      chunks.push(each.chunk);
      bytes += each.bytes;
    }
    this.#queue = this.#queue.slice(chunks.length);
    this.#bytes -= bytes;
    this.#first += chunks.length;
    return { from, chunks, end: this.#queue.length === 0 ? this.#end : null };
  }
}
