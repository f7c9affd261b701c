/** Hashes of large files, remembered while the kernel says that a file was not touched: a round looks at them every half minute. */
import { createHash } from "node:crypto";
import { type BigIntStats, constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { FleetError } from "@muster/protocol/errors";

const { O_RDONLY, O_NONBLOCK, O_NOFOLLOW } = constants;
const PIECE_BYTES = 256 * 1024;
const REMEMBERED = 1_024;
/** The kernel's clock moves in ticks of some milliseconds: what was touched this short a time before may be touched again unseen. */
const SETTLED_NS = 2_000_000_000n;

export type Hashes = { of(real: string, path: string, limit_bytes: number): Promise<string | null> };

export function createHashes(): Hashes {
  const known = new Map<string, { readonly stamp: string; readonly sha256: string }>();
  return {
    async of(real, path, limit_bytes) {
      const handle = await openOrNull(real);
      if (handle === null) return null;
      try {
        const stats = await handle.stat({ bigint: true });
        if (!stats.isFile()) throw new FleetError("FAILED", `${path} is no regular file`);
        if (stats.size > limit_bytes) return null;
        const stamp = stampOf(stats);
        const before = known.get(path);
        if (before?.stamp === stamp) return before.sha256;
        known.delete(path);
        const sha256 = await hashOf(handle, limit_bytes);
        const settled = BigInt(Date.now()) * 1_000_000n - stats.ctimeNs > SETTLED_NS;
        if (sha256 !== null && settled && stampOf(await handle.stat({ bigint: true })) === stamp) {
          const [oldest] = known.keys();
          if (known.size >= REMEMBERED && oldest !== undefined) known.delete(oldest);
          known.set(path, { stamp, sha256 });
        }
        return sha256;
      } finally {
        await handle.close();
      }
    },
  };
}

async function openOrNull(real: string): Promise<FileHandle | null> {
  try {
    return await open(real, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR"))
      return null;
    throw error;
  }
}

/** Null when it grew beyond the limit while it was read. */
async function hashOf(handle: FileHandle, limit_bytes: number): Promise<string | null> {
  const hash = createHash("sha256");
  const piece = Buffer.allocUnsafe(PIECE_BYTES);
  for (let size = 0; ; ) {
    const { bytesRead } = await handle.read(piece, 0, PIECE_BYTES, null);
    if (bytesRead === 0) return hash.digest("hex");
    size += bytesRead;
    if (size > limit_bytes) return null;
    hash.update(piece.subarray(0, bytesRead));
  }
}

const stampOf = ({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats) =>
  [dev, ino, size, mtimeNs, ctimeNs].join(" ");
