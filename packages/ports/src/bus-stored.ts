/**
 * What streams hold, by the plain protocol of JetStream and without its client: reading needs no consumer and no stream
 * information, only the right to one direct-get subject; writing waits for the stream's word. Streams must allow direct
 * get. A direct get may be answered by a replica that is a moment behind: what must not be lost is written with the
 * sequence that it replaces.
 * Sources: ADR-31 (direct get and its batches), ADR-8 (key-value), ADR-43 (TTL of a message) of NATS.
 */
import { FleetError, parseJson } from "@muster/protocol/errors";
import { intakeOf } from "@muster/protocol/streams";
import * as z from "zod";
import { type KeyValue, keyValue } from "./bus-kv.ts";
import type { BusMessage } from "./bus-link.ts";
import type { BusRequests } from "./bus-requests.ts";
import { filterSubject, plainSubject } from "./bus-subjects.ts";

export type { KeyValue, KeyValueEntry } from "./bus-kv.ts";

/** `seq` is the message's place in its stream, `stored_at` milliseconds since 1970. */
export type StoredMessage = {
  readonly subject: string;
  readonly body: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
  readonly seq: number;
  readonly stored_at: number;
};

export type PublishStoredOptions = {
  readonly headers?: Readonly<Record<string, string>>;
  /** The sequence of the newest message on this subject as the caller knows it; 0 = there is none. Else `CONFLICT`. */
  readonly expected_last_subject_seq?: number;
  /** The stream keeps one message of this id within its duplicate window. */
  readonly msg_id?: string;
  /** The message goes by itself after this; the stream must allow it. */
  readonly ttl_s?: number;
  readonly timeout_ms?: number;
};

export type ReadAllOptions = {
  readonly from_seq?: number;
  readonly from_time_ms?: number;
  readonly batch?: number;
  readonly max_bytes?: number;
  readonly timeout_ms?: number;
};

export interface BusStored {
  /** The newest message on a subject, or null. `BUS_DENIED` without the right, `NO_RESPONDER` without the stream. */
  directGet(
    stream: string,
    subject: string,
    options?: { timeout_ms?: number },
  ): Promise<StoredMessage | null>;
  /** Publishes and waits until the stream has it. `CONFLICT`, `NO_RESPONDER` (no stream takes the subject), `FAILED`. */
  publishStored(
    subject: string,
    body: Uint8Array,
    options?: PublishStoredOptions,
  ): Promise<{ seq: number; duplicate: boolean }>;
  /**
   * Everything a stream holds on the subjects of a filter, oldest first, in batches; ends at what is newest now. Begins at
   * `from_seq`, or at what was stored at `from_time_ms`. A batch holds up to `batch` messages, and up to `max_bytes` where that is said (or one message).
   * For controllers: it needs the right to `$JS.API.DIRECT.GET.<stream>`, which reads the whole stream.
   */
  readAll(
    stream: string,
    filter: string,
    options?: ReadAllOptions,
  ): AsyncGenerator<StoredMessage, void, undefined>;
  kv(bucket: string): KeyValue;
}

/** An error comes with `stream` and `seq: 0` beside it: it is looked for first. */
const Ack = z.union([
  z.object({
    error: z.object({ code: z.int(), err_code: z.int().default(0), description: z.string().default("") }),
  }),
  z.object({ stream: z.string(), seq: z.int().min(1), duplicate: z.boolean().default(false) }),
]);

/** "wrong last sequence", with and without the number in the text. */
const CONFLICTS = new Set([10_071, 10_164]);
const TIMEOUT_MS = 5_000;
const EMPTY = new Uint8Array();
const STREAM_NAME = /^[A-Za-z0-9_-]{1,64}$/;

export function busStored(requests: BusRequests): BusStored {
  const directGet: BusStored["directGet"] = async (stream, subject, options) => {
    const api = `$JS.API.DIRECT.GET.${streamName(stream)}.${plainSubject(subject)}`;
    const answer = await requests.request(api, EMPTY, { timeout_ms: options?.timeout_ms ?? TIMEOUT_MS });
    if (answer.status === 404) return null;
    return storedMessage(answer, api);
  };

  const publishStored: BusStored["publishStored"] = async (subject, body, options = {}) => {
    const headers: Record<string, string> = { ...options.headers };
    if (options.expected_last_subject_seq !== undefined) {
      headers["Nats-Expected-Last-Subject-Sequence"] = String(options.expected_last_subject_seq);
    }
    if (options.msg_id !== undefined) headers["Nats-Msg-Id"] = options.msg_id;
    if (options.ttl_s !== undefined) headers["Nats-TTL"] = `${options.ttl_s}s`;
    const timeout_ms = options.timeout_ms ?? TIMEOUT_MS;
    const limits = Object.keys(headers).length === 0 ? { timeout_ms } : { timeout_ms, headers };
    const answer = await requests.request(intakeOf(subject), body, limits).catch((error: unknown) => {
      if (!(error instanceof FleetError) || error.code !== "TIMEOUT") throw error;
      const detail = `the broker did not store ${subject} within ${timeout_ms / 1_000} s: its disk may be full`;
      throw new FleetError("TIMEOUT", detail, { cause: error });
    });
    const ack = parseJson(Ack, answer.body, `the stream's answer on ${subject}`);
    if ("error" in ack) {
      const detail = `${subject}: ${ack.error.description.slice(0, 200)}`;
      throw new FleetError(CONFLICTS.has(ack.error.err_code) ? "CONFLICT" : "FAILED", detail);
    }
    return { seq: ack.seq, duplicate: ack.duplicate };
  };

  async function* readAll(
    stream: string,
    filter: string,
    options: ReadAllOptions = {},
  ): AsyncGenerator<StoredMessage, void, undefined> {
    const api = `$JS.API.DIRECT.GET.${streamName(stream)}`;
    const { batch = 256, max_bytes } = options;
    let from: { seq: number } | { start_time: string } =
      options.from_time_ms === undefined
        ? { seq: Math.max(1, options.from_seq ?? 1) }
        : { start_time: new Date(options.from_time_ms).toISOString() };
    for (;;) {
      const found: StoredMessage[] = [];
      let pending = 0;
      const body = Buffer.from(
        JSON.stringify({ ...from, batch, max_bytes, next_by_subj: filterSubject(filter) }),
      );
      await requests.collect(api, body, { timeout_ms: options.timeout_ms ?? TIMEOUT_MS }, (message) => {
        // 404: nothing at or after `seq`; 204: the end of this batch.
        if (message.status === 404) return true;
        if (message.status === 204) {
          pending = Number(message.headers["Nats-Num-Pending"] ?? 0);
          return true;
        }
        found.push(storedMessage(message, api));
        return false;
      });
      yield* found;
      const last = found.at(-1);
      if (last === undefined || !(pending > 0)) return;
      from = { seq: last.seq + 1 };
    }
  }

  return {
    directGet,
    publishStored,
    readAll,
    kv: (bucket) => keyValue(bucket, { directGet, publishStored, readAll }),
  };
}

function streamName(stream: string): string {
  if (!STREAM_NAME.test(stream))
    throw new FleetError("INVALID", `stream name ${JSON.stringify(stream.slice(0, 64))}`);
  return stream;
}

/** When the broker stored a message of a stream, as direct gets and republished messages tell; null for any other. */
export function storedAt(headers: BusMessage["headers"]): number | null {
  const at_ms = Date.parse(headers["Nats-Time-Stamp"] ?? "");
  return Number.isNaN(at_ms) ? null : at_ms;
}

/** The headers are the server's own: it appends them, and of a header that comes twice the last counts. */
function storedMessage(answer: BusMessage, what: string): StoredMessage {
  const seq = Number(answer.headers["Nats-Sequence"]);
  const stored_at = storedAt(answer.headers);
  const subject = answer.headers["Nats-Subject"];
  if (answer.status !== undefined || subject === undefined || !(seq >= 1) || stored_at === null) {
    throw new FleetError("FAILED", `${what}: the stream answered with status ${answer.status ?? "none"}`);
  }
  return { subject, body: answer.body, headers: answer.headers, seq, stored_at };
}
