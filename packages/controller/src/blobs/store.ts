/**
 * File content by its hash, in stream BLOB: one copy for the fleet, which only controllers can read, and from it one under the id of each host whose
 * signed manifest names it. Only what is noted as whole counts (`note.ts`): a controller that dies in the middle leaves nothing that counts.
 */
import { createHash } from "node:crypto";
import type { Bus } from "@muster/ports/bus";
import { type BlobRef, chunkBytes, chunksOf, FLEET_BLOBS } from "@muster/protocol/blob";
import { FleetError } from "@muster/protocol/errors";
import { subjects } from "@muster/protocol/subjects";
import { keyOf, readNote, writeNote } from "./note.ts";

export type BlobPorts = {
  readonly bus: Pick<Bus, "directGet" | "publishStored" | "kv">;
  readonly now: () => number;
  /** Makes room in the stream (`sweep.ts`); how many bytes it freed. */
  sweep(): Promise<number>;
};

const STREAM = "BLOB";
/** Chunks of half a megabyte that are under way at once, over all calls. */
const CHUNKS_AT_ONCE = 8;
/** A note that is asked for is written anew when it is older: no sweep takes what is about to be used. */
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

  async #give(id: string, ref: BlobRef): Promise<void> {
    if (await this.#isWhole(id, ref)) return;
    if (!(await this.#hasFleet(ref)))
      throw new FleetError(
        "NOT_FOUND",
        `content ${short(ref)} of ${ref.size_bytes} bytes was not handed over`,
      );
    await this.#begin(id, ref);
    const good = await this.#walk(ref, (n, data) => this.#publish(subjects.blob(id, ref.sha256, n), data));
    if (!good) throw new FleetError("ALTERED", `the stored content ${short(ref)} does not fit its hash`);
    await this.#whole(id, ref);
  }

  async #hasFleet(ref: BlobRef): Promise<boolean> {
    if (await this.#isWhole(FLEET_BLOBS, ref)) return true;
    if (!(await this.#walk(ref, async () => {}))) return false;
    await this.#whole(FLEET_BLOBS, ref);
    return true;
  }

  /** Reads the fleet's copy chunk by chunk; true when all of it was there and fits its hash. */
  async #walk(ref: BlobRef, each: (chunk: number, data: Uint8Array) => Promise<void>): Promise<boolean> {
    const hash = createHash("sha256");
    for (let n = 0; n < chunksOf(ref); n++) {
      const subject = subjects.blob(FLEET_BLOBS, ref.sha256, n);
      const stored = await this.#turn(() => this.#ports.bus.directGet(STREAM, subject));
      if (stored === null || stored.body.length !== chunkBytes(ref, n)) return false;
      hash.update(stored.body);
      await each(n, stored.body);
    }
    return hash.digest("hex") === ref.sha256;
  }

  async #isWhole(owner: string, ref: BlobRef): Promise<boolean> {
    const entry = await this.#ports.bus.kv("blobs").get(keyOf(owner, ref.sha256));
    if (entry === null || readNote(entry).state !== "whole") return false;
    if (this.#ports.now() - entry.stored_at > FRESH_MS) await this.#whole(owner, ref, entry.revision);
    return true;
  }

  /** Before the first chunk, so that a sweep finds what is never finished. Errors: CONFLICT while a sweep takes it away. */
  async #begin(owner: string, ref: BlobRef): Promise<void> {
    const kv = this.#ports.bus.kv("blobs");
    const key = keyOf(owner, ref.sha256);
    const entry = await kv.get(key);
    if (entry !== null && readNote(entry).state !== "going") return;
    if (entry !== null && this.#ports.now() - entry.stored_at < GOING_MS)
      throw new FleetError(
        "CONFLICT",
        `content ${short(ref)} is being taken away just now; try again in a minute`,
      );
    const note = writeNote({ state: "part", size_bytes: ref.size_bytes });
    try {
      if (entry === null) await kv.create(key, note);
      else await kv.update(key, note, entry.revision);
    } catch (error) {
      // Another chunk of it, or another call, has just begun it.
      if (!(error instanceof FleetError) || error.code !== "CONFLICT") throw error;
    }
  }

  /** Errors: CONFLICT when the note is no longer that of the revision. */
  async #whole(owner: string, ref: BlobRef, revision?: number): Promise<void> {
    const kv = this.#ports.bus.kv("blobs");
    const note = writeNote({ state: "whole", size_bytes: ref.size_bytes });
    if (revision === undefined) await kv.put(keyOf(owner, ref.sha256), note);
    else await kv.update(keyOf(owner, ref.sha256), note, revision);
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

/** In the stream's own words: its code is that of every refusal to store. */
const isFull = (error: unknown): error is FleetError =>
  error instanceof FleetError && error.code === "FAILED" && error.detail.includes("maximum bytes exceeded");

const full = (cause: unknown) =>
  new FleetError(
    "FAILED",
    "the broker's store for file content (stream BLOB) is full with what hosts have in force or may go back to: raise its max_bytes, or declare fewer or smaller files",
    { cause },
  );
