/**
 * The calling side of `streams.ts`: opens a stream on one host or many and reads each to its end marker. The next chunks are asked for only when
 * those before were taken, so a slow reader slows what is read. A lost answer is asked for again; a gap, a stream that is gone or a host that went
 * away ends that host's stream with an error that says so.
 */
import { FleetError, parse } from "@muster/protocol/errors";
import type { RpcReply, RpcRequest, StreamChunk, StreamEnd, StreamMethod } from "@muster/protocol/rpc/index";
import { rpcRow } from "@muster/protocol/rpc/row";
import { type Caller, type CallResults, callMany, callOne } from "./call.ts";

/** A host that does not answer is asked again for this long. */
const RETRY_MS = 30_000;
const RETRY_PAUSE_MS = 500;
/** How long what feeds a stream may take to end once it was told to. */
const STOP_MS = 5_000;

export type StreamOptions<M extends StreamMethod> = {
  /** How long to wait for the slowest to open; the row's by default. */
  readonly timeout_ms?: number;
  /** On abort every stream is stopped; hosts whose streams did not end by themselves are `failed` with CANCELLED. */
  readonly signal?: AbortSignal;
  /** Hears the chunks of a host in order. That host's next ones come when it has resolved. */
  readonly on_chunk: (id: string, chunk: StreamChunk<M>) => void | Promise<void>;
  readonly on_end?: (id: string, outcome: StreamEnd<M> | FleetError) => void;
  readonly retry_ms?: number;
};

/**
 * Opens `method` on all and reads until all have ended. `answered` holds what the end markers say, `failed` why the others ended, `silent` who
 * did not answer at all. Errors: BUS_UNREACHABLE when the connection goes before all are open.
 */
export async function callStreams<M extends StreamMethod>(
  caller: Caller,
  ids: readonly string[],
  method: M,
  args: RpcRequest<M> | ((id: string) => RpcRequest<M>),
  options: StreamOptions<M>,
): Promise<CallResults<StreamEnd<M>>> {
  const answered = new Map<string, StreamEnd<M>>();
  const failed = new Map<string, FleetError>();
  const ended = (id: string, outcome: StreamEnd<M> | FleetError) => {
    if (outcome instanceof FleetError) failed.set(id, outcome);
    else answered.set(id, outcome as StreamEnd<M>);
    options.on_end?.(id, outcome);
  };
  const reading: Promise<void>[] = [];
  const { timeout_ms, signal } = options;
  const opened = await callMany(caller, ids, method, args, {
    ...(timeout_ms === undefined ? {} : { timeout_ms }),
    ...(signal === undefined ? {} : { signal }),
    on_reply: (id, reply) => {
      if (reply instanceof FleetError) return ended(id, reply);
      const stream = new Reader(caller, id, method, reply.stream, options);
      reading.push(
        stream.read().then(
          (end) => ended(id, end),
          (error: unknown) => {
            if (!(error instanceof FleetError)) throw error;
            ended(id, error);
          },
        ),
      );
    },
  }).catch((error: unknown) => {
    // Streams that were opened meanwhile have heard the abort too, and are waited for.
    if (signal?.aborted && error instanceof FleetError) return null;
    throw error;
  });
  await Promise.all(reading);
  const silent = opened?.silent ?? ids.filter((id) => !answered.has(id) && !failed.has(id));
  return { answered, failed, silent, absent: opened?.absent ?? [] };
}

class Reader<M extends StreamMethod> {
  #from = 0;
  readonly #caller: Caller;
  readonly #id: string;
  readonly #method: M;
  readonly #stream: string;
  readonly #options: StreamOptions<M>;

  constructor(caller: Caller, id: string, method: M, stream: string, options: StreamOptions<M>) {
    this.#caller = caller;
    this.#id = id;
    this.#method = method;
    this.#stream = stream;
    this.#options = options;
  }

  async read(): Promise<StreamEnd<M>> {
    const { signal, on_chunk } = this.#options;
    const row = await rpcRow(this.#method);
    for (;;) {
      const reply = signal?.aborted ? await this.#stop() : await this.#more();
      if (reply === null) continue;
      if (reply.from !== this.#from)
        throw new FleetError("INVALID", `chunk ${this.#from} is missing: ${reply.from} came`);
      for (const chunk of reply.chunks) {
        // After a stop nobody wants to hear more, and the end may be long in coming.
        if (!signal?.aborted)
          await on_chunk(this.#id, parse(row.chunk, chunk, `chunk of ${this.#method}`) as StreamChunk<M>);
        this.#from += 1;
      }
      if (reply.end === null) continue;
      if ("error" in reply.end) throw FleetError.fromReply(reply.end.error);
      return parse(row.end, reply.end.ok, `end of ${this.#method}`) as StreamEnd<M>;
    }
  }

  /** Asks until it is answered; null when it was told to stop meanwhile. */
  async #more(): Promise<RpcReply<"next"> | null> {
    const { signal, retry_ms = RETRY_MS } = this.#options;
    let silent_since: number | null = null;
    for (;;) {
      try {
        return await this.#ask(false, signal === undefined ? {} : { signal });
      } catch (error) {
        if (!(error instanceof FleetError)) throw error;
        if (signal?.aborted) return null;
        silent_since ??= performance.now();
        if (!error.retryable || performance.now() - silent_since > retry_ms) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_PAUSE_MS));
      if (signal?.aborted) return null;
    }
  }

  async #stop(): Promise<RpcReply<"next">> {
    try {
      return await this.#ask(true, { timeout_ms: STOP_MS });
    } catch (error) {
      if (!(error instanceof FleetError) || !error.retryable) throw error;
      // The host ends it by itself when nobody reads.
      throw new FleetError("CANCELLED", "the host did not say in time that it ended", { cause: error });
    }
  }

  #ask(stop: boolean, options: { timeout_ms?: number; signal?: AbortSignal }): Promise<RpcReply<"next">> {
    return callOne(this.#caller, this.#id, "next", { stream: this.#stream, from: this.#from, stop }, options);
  }
}
