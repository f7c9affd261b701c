/**
 * File content by its hash, in stream BLOB: one copy for the fleet, which only controllers can read, and from it one under the id of each host whose
 * signed manifest names it. Only what is noted as whole counts (`note.ts`): a controller that dies in the middle leaves nothing that counts.
 */
import { createHash } from "node:crypto";
import type { Bus } from "@muster/ports/bus";
import { type BlobRef, chunkBytes, chunksOf, FLEET_BLOBS } from "@muster/protocol/blob";
import { FleetError } from "@muster/protocol/errors";
import { subjects } from "@muster/protocol/subjects";
import { keyOf, type Note, readNote, writeNote } from "./note.ts";

export type BlobPorts = {
  readonly bus: Pick<Bus, "directGet" | "publishStored" | "kv">;
  readonly now: () => number;
  /** Makes room in the stream (`sweep.ts`); how many bytes it freed. */
  sweep(): Promise<number>;
};

const STREAM = "BLOB";
/** Chunks of half a megabyte that are under way at once, over all calls. */
const CHUNKS_AT_ONCE = 8;
/** A note that is needed again is written anew when it is older. */
const FRESH_MS = 3_600_000;
/** Whoever took it away for longer than this has died over it. */
const GOING_MS = 60_000;

export class BlobStore {
  readonly #ports: BlobPorts;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(ports: BlobPorts) {
    this.#ports = ports;
  }

  /** Of these, what the fleet's copy does not have whole; what was handed over since is proved now. */
  async missing(refs: readonly BlobRef[]): Promise<string[]> {
    const found = await Promise.all(
      refs.map(async (ref) => ((await this.#hasFleet(ref)) ? [] : [ref.sha256])),
    );
    return found.flat();
  }

  /** Takes one chunk into the fleet's copy. Errors: INVALID for another length than it must have, FAILED when the stream is full. */
  async take(ref: BlobRef, chunk: number, data: Uint8Array): Promise<void> {
    if (chunk >= chunksOf(ref) || data.length !== chunkBytes(ref, chunk))
      throw new FleetError("INVALID", `chunk ${chunk} of ${short(ref)} has ${data.length} bytes`);
    if (await this.#isWhole(FLEET_BLOBS, ref)) return;
    await this.#begin(FLEET_BLOBS, ref);
    await this.#publish(subjects.blob(FLEET_BLOBS, ref.sha256, chunk), data);
  }

  /** Stores for a host all that it does not have yet. Errors: NOT_FOUND for what was not handed over, ALTERED, FAILED when the stream is full. */
  async give(id: string, refs: readonly BlobRef[]): Promise<void> {
    await Promise.all(refs.map((ref) => this.#give(id, ref)));
  }

  /** What is there is read and proved each time: a chunk that the broker lost, or that somebody wrote over, is mended by the next apply. */
  async #give(id: string, ref: BlobRef): Promise<void> {
    if (await this.#walk(id, ref)) return this.#whole(id, ref);
    if (!(await this.#hasFleet(ref)))
      throw new FleetError(
        "NOT_FOUND",
        `content ${short(ref)} of ${ref.size_bytes} bytes was not handed over`,
      );
    await this.#begin(id, ref);
    const copy = (n: number, data: Uint8Array) => this.#publish(subjects.blob(id, ref.sha256, n), data);
    if (!(await this.#walk(FLEET_BLOBS, ref, copy)))
      throw new FleetError("ALTERED", `the stored content ${short(ref)} does not fit its hash`);
    await this.#whole(id, ref);
  }

  async #hasFleet(ref: BlobRef): Promise<boolean> {
    const good = await this.#walk(FLEET_BLOBS, ref);
    if (good) await this.#whole(FLEET_BLOBS, ref);
    else if (await this.#isWhole(FLEET_BLOBS, ref)) await this.#note(FLEET_BLOBS, ref, "part");
    return good;
  }

  /** Reads a copy chunk by chunk; true when all of it is there and fits its hash. */
  async #walk(
    owner: string,
    ref: BlobRef,
    each?: (chunk: number, data: Uint8Array) => Promise<void>,
  ): Promise<boolean> {
    const hash = createHash("sha256");
    for (let n = 0; n < chunksOf(ref); n++) {
      const subject = subjects.blob(owner, ref.sha256, n);
      const stored = await this.#turn(() => this.#ports.bus.directGet(STREAM, subject));
      if (stored === null || stored.body.length !== chunkBytes(ref, n)) return false;
      hash.update(stored.body);
      await each?.(n, stored.body);
    }
    return hash.digest("hex") === ref.sha256;
  }

  async #isWhole(owner: string, ref: BlobRef): Promise<boolean> {
    const entry = await this.#ports.bus.kv("blobs").get(keyOf(owner, ref.sha256));
    return entry !== null && readNote(entry).state === "whole";
  }

  /** Before the first chunk, so that a sweep finds what is never finished. Errors: CONFLICT while a sweep takes it away. */
  async #begin(owner: string, ref: BlobRef): Promise<void> {
    const kv = this.#ports.bus.kv("blobs");
    const key = keyOf(owner, ref.sha256);
    const entry = await kv.get(key);
    if (entry !== null && readNote(entry).state !== "going") return;
    if (entry !== null && this.#ports.now() - entry.stored_at < GOING_MS) throw goingAway(ref);
    const note = writeNote({ state: "part", size_bytes: ref.size_bytes });
    try {
      if (entry === null) await kv.create(key, note);
      else await kv.update(key, note, entry.revision);
    } catch (error) {
      // Another chunk of it, or another call, has just begun it.
      if (!(error instanceof FleetError) || error.code !== "CONFLICT") throw error;
    }
  }

  /** Notes that it is whole, and when it was needed last: no sweep takes what is about to be used. Errors: CONFLICT while one takes it away. */
  async #whole(owner: string, ref: BlobRef): Promise<void> {
    const kv = this.#ports.bus.kv("blobs");
    const entry = await kv.get(keyOf(owner, ref.sha256));
    if (entry === null) return this.#note(owner, ref, "whole");
    const { state } = readNote(entry);
    const age_ms = this.#ports.now() - entry.stored_at;
    if (state === "whole" && age_ms < FRESH_MS) return;
    if (state === "going" && age_ms < GOING_MS) throw goingAway(ref);
    const note = writeNote({ state: "whole", size_bytes: ref.size_bytes });
    try {
      await kv.update(keyOf(owner, ref.sha256), note, entry.revision);
    } catch (error) {
      if (!(error instanceof FleetError) || error.code !== "CONFLICT") throw error;
      // Another call noted the same a moment before; anything else is a sweep.
      if (!(await this.#isWhole(owner, ref))) throw goingAway(ref);
    }
  }

  async #note(owner: string, ref: BlobRef, state: Note["state"]): Promise<void> {
    const note = writeNote({ state, size_bytes: ref.size_bytes });
    await this.#ports.bus.kv("blobs").put(keyOf(owner, ref.sha256), note);
  }

  async #publish(subject: string, data: Uint8Array): Promise<void> {
    const publish = () => this.#turn(() => this.#ports.bus.publishStored(subject, data));
    try {
      await publish();
    } catch (error) {
      if (!isFull(error)) throw error;
      if ((await this.#ports.sweep()) === 0) throw full(error);
      await publish().catch((again: unknown) => {
        throw isFull(again) ? full(again) : again;
      });
    }
  }

  async #turn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= CHUNKS_AT_ONCE) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running += 1;
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }
}

const short = ({ sha256 }: BlobRef) => sha256.slice(0, 12);

const goingAway = (ref: BlobRef) =>
  new FleetError("CONFLICT", `content ${short(ref)} is being taken away just now; try again in a minute`);

/** In the stream's own words: its code is that of every refusal to store. */
const isFull = (error: unknown): error is FleetError =>
  error instanceof FleetError && error.code === "FAILED" && error.detail.includes("maximum bytes exceeded");

const full = (cause: unknown) =>
  new FleetError(
    "FAILED",
    "the broker's store for file content (stream BLOB) is full with what hosts have in force or may go back to: raise its max_bytes, or declare fewer or smaller files",
    { cause },
  );
