/**
 * File content by its hash, on this host's disk: fetched in chunks, proved before it gets its name, proved again as it is read. Holds no decision
 * about what is fetched or kept: see `contents.ts`.
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { type BlobRef, chunkBytes, chunksOf } from "@muster/protocol/blob";
import { FleetError } from "@muster/protocol/errors";
import { isMissing, syncDirectory } from "../store.ts";

/** Chunk `n` of a content as the broker has it; null when it has none. */
export type ChunkSource = (sha256: string, n: number, signal: AbortSignal) => Promise<Uint8Array | null>;

export type Blobs = {
  /** Whether nothing is here at all. */
  empty(): Promise<boolean>;
  /** Whether it is here, by name and size. */
  has(ref: BlobRef): Promise<boolean>;
  /** Fetches one. Errors: NOT_FOUND without it at the broker, ALTERED when it does not fit its hash, FAILED of the disk, and the source's. */
  fetch(ref: BlobRef, source: ChunkSource, signal: AbortSignal): Promise<void>;
  /** The bytes, piece by piece. Errors: NOT_FOUND, and at the end ALTERED, when the disk has damaged it: it is fetched anew then. */
  read(ref: BlobRef): AsyncIterable<Uint8Array>;
  /** Removes all but these hashes. */
  keepOnly(hashes: ReadonlySet<string>): Promise<void>;
};

const PIECE_BYTES = 64 * 1024;

export function createBlobs(directory: string): Blobs {
  const place = (sha256: string) => join(directory, sha256);
  const names = () =>
    readdir(directory).catch((cause: unknown): string[] => {
      if (isMissing(cause)) return [];
      throw failed(directory, cause);
    });
  return {
    async has(ref) {
      const size = await told(place(ref.sha256), () => sizeOf(place(ref.sha256)));
      return size === ref.size_bytes;
    },
    async fetch(ref, source, signal) {
      const beside = `${place(ref.sha256)}.part`;
      const hash = createHash("sha256");
      await told(directory, () => mkdir(directory, { recursive: true, mode: 0o700 }));
      const file = await told(beside, () => open(beside, "w", 0o600));
      try {
        for (let n = 0; n < chunksOf(ref); n++) {
          const chunk = await source(ref.sha256, n, signal);
          if (chunk === null)
            throw new FleetError("NOT_FOUND", `the broker has no ${whole(ref)} for this host`);
          if (chunk.length !== chunkBytes(ref, n)) throw altered(ref, "at the broker");
          hash.update(chunk);
          await told(beside, () => file.writeFile(chunk));
        }
        if (hash.digest("hex") !== ref.sha256) throw altered(ref, "at the broker");
        await told(beside, () => file.sync());
      } catch (error) {
        await rm(beside, { force: true });
        throw error;
      } finally {
        await file.close();
      }
      await told(beside, async () => {
        await rename(beside, place(ref.sha256));
        await syncDirectory(directory);
      });
    },
    async *read(ref) {
      const path = place(ref.sha256);
      const file = await open(path, "r").catch((cause: unknown) => {
        if (isMissing(cause))
          throw new FleetError(
            "NOT_FOUND",
            `${whole(ref)} is not on this host yet, and comes when the broker is there`,
          );
        throw failed(path, cause);
      });
      const hash = createHash("sha256");
      try {
        for (;;) {
          const piece = Buffer.allocUnsafe(PIECE_BYTES);
          const { bytesRead } = await told(path, () => file.read(piece, 0, PIECE_BYTES, null));
          if (bytesRead === 0) break;
          hash.update(piece.subarray(0, bytesRead));
          yield piece.subarray(0, bytesRead);
        }
      } finally {
        await file.close();
      }
      if (hash.digest("hex") === ref.sha256) return;
      await rm(path, { force: true });
      throw altered(ref, "on this host's disk");
    },
    empty: async () => !existsSync(directory) || (await names()).length === 0,
    async keepOnly(hashes) {
      await Promise.all(
        (await names())
          .filter((name) => !hashes.has(name))
          .map((name) => told(place(name), () => rm(place(name), { force: true }))),
      );
    },
  };
}

const whole = ({ sha256, size_bytes }: BlobRef) => `content ${sha256.slice(0, 12)} of ${size_bytes} bytes`;

const altered = (ref: BlobRef, where: string) =>
  new FleetError("ALTERED", `${whole(ref)} does not fit its hash ${where}`);

async function sizeOf(path: string): Promise<number | null> {
  try {
    return (await stat(path)).size;
  } catch (cause) {
    if (isMissing(cause)) return null;
    throw cause;
  }
}

async function told<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw failed(path, cause);
  }
}

const failed = (path: string, cause: unknown) =>
  new FleetError("FAILED", `${path}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
