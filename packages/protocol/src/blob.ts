/**
 * File content over 16 KiB: it travels by its hash. `ctl` hands it to a controller, which stores it once for the fleet (`blob.fleet.<sha256>.<n>`,
 * readable by controllers only) and, for each host whose signed manifest names it, under that host's own id, where the host fetches it.
 */
import { z } from "zod";
import { Sha256 } from "./names.ts";

/** What is larger does not stand in a manifest. */
export const INLINE_BYTES = 16 * 1024;
export const BLOB_CHUNK_BYTES = 512 * 1024;
export const BLOB_BYTES = 64 * 1024 * 1024;
/** The owner of the fleet's own copy; no host has such an id. */
export const FLEET_BLOBS = "fleet";

export const BlobRef = z.strictObject({
  sha256: Sha256,
  size_bytes: z.int().min(0).max(BLOB_BYTES).describe("Of the content."),
});
export type BlobRef = z.infer<typeof BlobRef>;

/** How many chunks a blob has; the last is as long as what is left. */
export const chunksOf = ({ size_bytes }: Pick<BlobRef, "size_bytes">): number =>
  Math.max(1, Math.ceil(size_bytes / BLOB_CHUNK_BYTES));

/** Bytes of chunk `n`, from 0. */
export const chunkBytes = (ref: Pick<BlobRef, "size_bytes">, n: number): number =>
  Math.min(BLOB_CHUNK_BYTES, ref.size_bytes - n * BLOB_CHUNK_BYTES);

/** Every blob that these resources need, each once. */
export function blobsOf(resources: readonly { readonly kind: string; readonly spec: unknown }[]): BlobRef[] {
  const found = new Map<string, BlobRef>();
  for (const { kind, spec } of resources) {
    const files =
      kind === "file"
        ? [spec]
        : kind === "container"
          ? Object.values((spec as { files: Record<string, Record<string, unknown>> }).files).flatMap(
              Object.values,
            )
          : [];
    for (const file of files as { readonly blob?: BlobRef }[])
      if (file.blob !== undefined) found.set(file.blob.sha256, file.blob);
  }
  return [...found.values()];
}
