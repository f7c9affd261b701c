/**
 * A key-value bucket without the right to make one: the keys are subjects `$KV.<bucket>.<key>` of the stream
 * `KV_<bucket>`, revisions are sequences, a deletion is a marker message. Source: ADR-8 of NATS.
 */
import { FleetError } from "@muster/protocol/errors";
import type { BusStored, StoredMessage } from "./bus-stored.ts";

/** `revision` is for `update`; `stored_at` milliseconds since 1970. */
export type KeyValueEntry = {
  readonly key: string;
  readonly value: Uint8Array;
  readonly revision: number;
  readonly stored_at: number;
};

/** `value` null: the key was deleted, or went by its own age; that is told for as long as the bucket keeps the marker. */
export type KeyValueChange = Omit<KeyValueEntry, "value"> & { readonly value: Uint8Array | null };

export interface KeyValue {
  /** null when there is no such key, or it was deleted. */
  get(key: string): Promise<KeyValueEntry | null>;
  /** Only if there is none: else `CONFLICT`. With `ttl_s` it goes by itself. Returns the revision. */
  create(key: string, value: Uint8Array, options?: { ttl_s?: number }): Promise<number>;
  /** Only if `revision` is the newest: else `CONFLICT`. */
  update(key: string, value: Uint8Array, revision: number, options?: { ttl_s?: number }): Promise<number>;
  put(key: string, value: Uint8Array): Promise<number>;
  /** With `revision` only if that is the newest: else `CONFLICT`. With `ttl_s` the marker of the deletion goes by itself. */
  delete(key: string, options?: { revision?: number; ttl_s?: number }): Promise<void>;
  /** Every living key below a filter (`>` = all), with its newest value. */
  entries(filter?: string): Promise<KeyValueEntry[]>;
  /**
   * What was written after a revision (0 = all that there is), oldest first, a few at a time: for a bucket too large to be held at once.
   * A key that is written meanwhile comes again.
   */
  changes(after: number): AsyncGenerator<KeyValueChange, void, undefined>;
}

const KEY = /^[-/_=A-Za-z0-9]+(?:\.[-/_=A-Za-z0-9]+)*$/;
const BUCKET = /^[A-Za-z0-9_-]{1,60}$/;
const DELETED = new Uint8Array();
/** What `changes` holds at once, but for one value that is larger. */
const AT_ONCE_BYTES = 1024 * 1024;

export function keyValue(
  bucket: string,
  stored: Pick<BusStored, "directGet" | "publishStored" | "readAll">,
): KeyValue {
  if (!BUCKET.test(bucket))
    throw new FleetError("INVALID", `bucket name ${JSON.stringify(bucket.slice(0, 60))}`);
  const stream = `KV_${bucket}`;
  const prefix = `$KV.${bucket}.`;
  const subjectOf = (key: string): string => {
    if (!KEY.test(key))
      throw new FleetError("INVALID", `key ${JSON.stringify(key.slice(0, 80))} in bucket ${bucket}`);
    return prefix + key;
  };
  const entryOf = (message: StoredMessage): KeyValueEntry => ({
    key: message.subject.slice(prefix.length),
    value: message.body,
    revision: message.seq,
    stored_at: message.stored_at,
  });

  return {
    async get(key) {
      const message = await stored.directGet(stream, subjectOf(key));
      return message === null || isGone(message) ? null : entryOf(message);
    },
    async create(key, value, options = {}) {
      const subject = subjectOf(key);
      const extra = options.ttl_s === undefined ? {} : { ttl_s: options.ttl_s };
      try {
        return (await stored.publishStored(subject, value, { expected_last_subject_seq: 0, ...extra })).seq;
      } catch (error) {
        if (!(error instanceof FleetError) || error.code !== "CONFLICT") throw error;
        const last = await stored.directGet(stream, subject);
        if (last === null || !isGone(last)) throw error;
        // A marker is all there is: creating after it is creating.
        return (await stored.publishStored(subject, value, { expected_last_subject_seq: last.seq, ...extra }))
          .seq;
      }
    },
    update: async (key, value, revision, options = {}) =>
      (
        await stored.publishStored(subjectOf(key), value, {
          expected_last_subject_seq: revision,
          ...(options.ttl_s === undefined ? {} : { ttl_s: options.ttl_s }),
        })
      ).seq,
    put: async (key, value) => (await stored.publishStored(subjectOf(key), value)).seq,
    async delete(key, options = {}) {
      await stored.publishStored(subjectOf(key), DELETED, {
        headers: { "KV-Operation": "DEL" },
        ...(options.revision === undefined ? {} : { expected_last_subject_seq: options.revision }),
        ...(options.ttl_s === undefined ? {} : { ttl_s: options.ttl_s }),
      });
    },
    async entries(filter = ">") {
      const newest = new Map<string, StoredMessage>();
      for await (const message of stored.readAll(stream, prefix + filter))
        newest.set(message.subject, message);
      return [...newest.values()].filter((message) => !isGone(message)).map(entryOf);
    },
    async *changes(after) {
      const limits = { from_seq: after + 1, max_bytes: AT_ONCE_BYTES };
      for await (const message of stored.readAll(stream, `${prefix}>`, limits))
        yield isGone(message) ? { ...entryOf(message), value: null } : entryOf(message);
    },
  };
}

/** Deleted by a person (`KV-Operation`) or by its own age (`Nats-Marker-Reason`). */
function isGone(message: StoredMessage): boolean {
  const operation = message.headers["KV-Operation"];
  return operation === "DEL" || operation === "PURGE" || message.headers["Nats-Marker-Reason"] !== undefined;
}
