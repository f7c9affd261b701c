/** What is too large for a manifest, or no text, by its hash: in the manifest stands the hash, and `ctl apply` hands the bytes over. */
import { BLOB_BYTES, type BlobRef, INLINE_BYTES } from "@muster/protocol/blob";
import { sha256 } from "@muster/protocol/canonical";

/** How the content of a file stands in a manifest; or why it cannot be sent at all. */
export type Placed = { readonly content: string } | { readonly blob: BlobRef } | { readonly fault: string };

export class Contents {
  readonly bytes = new Map<string, Uint8Array>();
  /** Copied files are the same for every host: each is hashed once. */
  private readonly known = new Map<string | Uint8Array, BlobRef>();

  place(content: string | Uint8Array): Placed {
    const size_bytes = typeof content === "string" ? Buffer.byteLength(content) : content.length;
    if (typeof content === "string" && size_bytes <= INLINE_BYTES) return { content };
    if (size_bytes > BLOB_BYTES)
      return { fault: `has ${size_bytes} bytes; at most ${BLOB_BYTES} can be sent` };
    const known = this.known.get(content);
    if (known !== undefined) return { blob: known };
    const bytes = Buffer.from(content);
    const blob = { sha256: sha256(bytes), size_bytes };
    this.bytes.set(blob.sha256, bytes);
    this.known.set(content, blob);
    return { blob };
  }
}
