/**
 * Hashes of files, remembered while the kernel says that a file was not touched: a round looks at all of them every half minute, and when nothing was
 * touched it opens none. What Muster itself has just written is known too, and read once later, since the kernel could not tell a change that came right after it.
 */
import { createHash, hash as hashAtOnce } from "node:crypto";
import { type BigIntStats, constants } from "node:fs";
import { FleetError } from "@muster/protocol/errors";
import { OpenFile } from "./open-file.ts";

const { O_RDONLY, O_NONBLOCK, O_NOFOLLOW } = constants;
const PIECE_BYTES = 256 * 1024;
/** As many resources as a manifest may have; some 300 bytes each. */
const REMEMBERED = 5_000;
/** The kernel's clock moves in ticks of some milliseconds: what was touched this short a time before may be touched again unseen. */
const SETTLED_MS = 2_000;

export type Hashed = {
  readonly sha256: string;
  /** The content, when it had to be read for this and is small. */
  readonly bytes: Buffer | null;
};

/** `found` is what lstat said of it just now. Null when it is gone, or larger than the limit. */
export type Hashes = {
  of(real: string, path: string, found: BigIntStats, limit_bytes: number): Promise<Hashed | null>;
  /** This content was written and synced through an open file, which is what lies at the path now, as `found` says. Believed for two seconds. */
  wrote(path: string, found: BigIntStats, sha256: string): void;
  /** Whether it was written or looked at within the last two seconds: what the kernel says of it is in its memory. */
  recent(path: string): boolean;
};

type Known = {
  readonly stamp: string;
  readonly sha256: string;
  /** When it was written or last looked at, and until when it is believed, by `performance.now()`, which nobody sets. */
  asked_ms: number;
  readonly until_ms: number;
};

/** `small_bytes`: contents up to this are given back when they were read. */
export function createHashes(small_bytes: number): Hashes {
  const known = new Map<string, Known>();
  const remember = (path: string, stamp: string, sha256: string, for_ms: number): void => {
    known.delete(path);
    const [oldest] = known.keys();
    if (known.size >= REMEMBERED && oldest !== undefined) known.delete(oldest);
    const asked_ms = performance.now();
    known.set(path, { stamp, sha256, asked_ms, until_ms: asked_ms + for_ms });
  };
  return {
    wrote: (path, found, sha256) => remember(path, stampOf(found), sha256, SETTLED_MS),
    recent: (path) =>
      performance.now() - (known.get(path)?.asked_ms ?? Number.NEGATIVE_INFINITY) < SETTLED_MS,
    async of(real, path, found, limit_bytes) {
      if (found.size > limit_bytes) return null;
      const before = known.get(path);
      const now_ms = performance.now();
      if (before !== undefined && now_ms < before.until_ms && before.stamp === stampOf(found)) {
        before.asked_ms = now_ms;
        return { sha256: before.sha256, bytes: null };
      }
      const file = await openOrNull(real);
      if (file === null) return null;
      try {
        const stats = file.facts();
        if (!stats.isFile()) throw new FleetError("FAILED", `${path} is no regular file`);
        if (stats.size > limit_bytes) return null;
        known.delete(path);
        const hashed = await hashOf(file, Number(stats.size), limit_bytes, small_bytes);
        const stamp = stampOf(stats);
        const settled = Date.now() - Number(stats.ctimeMs) > SETTLED_MS;
        const lasts = settled && stampOf(file.facts()) === stamp;
        if (hashed !== null) remember(path, stamp, hashed.sha256, lasts ? Number.POSITIVE_INFINITY : 0);
        return hashed;
      } finally {
        file.close();
      }
    },
  };
}

async function openOrNull(real: string): Promise<OpenFile | null> {
  try {
    return await OpenFile.open(real, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR"))
      return null;
    throw error;
  }
}

/** Null when it grew beyond the limit while it was read. */
async function hashOf(
  file: OpenFile,
  size_bytes: number,
  limit_bytes: number,
  small_bytes: number,
): Promise<Hashed | null> {
  const small = size_bytes <= small_bytes;
  const piece = Buffer.allocUnsafe(small ? Math.max(size_bytes + 1, 4_096) : PIECE_BYTES);
  const first = await file.read(piece);
  // There was room for more, and what came is all that the file is said to have.
  if (small && first === size_bytes && first < piece.length) {
    const bytes = piece.subarray(0, first);
    return { sha256: hashAtOnce("sha256", bytes), bytes };
  }
  const hash = createHash("sha256");
  let size = 0;
  for (let count = first; count > 0; count = await file.read(piece)) {
    size += count;
    if (size > limit_bytes) return null;
    hash.update(piece.subarray(0, count));
  }
  return { sha256: hash.digest("hex"), bytes: null };
}

/** Another one after every change, but for changes within one tick of the kernel's clock. */
export const stampOf = ({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats) =>
  `${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}`;
