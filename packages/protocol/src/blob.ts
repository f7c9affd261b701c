/** File content over 16 KiB: fetched by hash in chunks from `blob.<id>.<sha256>.<n>`, under the host's own id. */
import { z } from "zod";
import { Sha256 } from "./names.ts";

export const BLOB_CHUNK_BYTES = 512 * 1024;
export const BLOB_BYTES = 64 * 1024 * 1024;

export const BlobRef = z.strictObject({
  sha256: Sha256,
  size_bytes: z.int().min(0).max(BLOB_BYTES).describe("Of the content."),
});
export type BlobRef = z.infer<typeof BlobRef>;
