/**
 * Hands a signed release to the controllers: the file contents that they do not have yet, then every manifest staged, then the order, which takes
 * the generation by compare-and-set.
 */
import { type Caller, callController } from "@muster/ports/call";
import { BLOB_CHUNK_BYTES, type BlobRef, chunksOf } from "@muster/protocol/blob";
import { FleetError } from "@muster/protocol/errors";
import type { SignedRelease } from "./sign.ts";

/** As many `ctl.stage` calls at once: a controller takes sixteen at a time and keeps a queue of a thousand. */
const PARALLEL = 32;
/** Chunks are half a megabyte each. */
const CHUNKS_AT_ONCE = 4;
/** As many are asked for in one message. */
const ASKED_AT_ONCE = 1_000;
/** What a staging may take beside the copying of what its manifest names, at a rate that a small broker keeps up. */
const STAGE_MS = 10_000;
const BYTES_PER_MS = 2 * 1024;

/**
 * `contents` are the bytes of the folder, by their hash.
 * Errors: CONFLICT when somebody took the generation first, ROLLOUT_BUSY, NO_RESPONDER, NOT_FOUND for content that neither the fleet nor the folder
 * has, and what a controller found wrong.
 */
export async function handOver(
  caller: Caller,
  signed: SignedRelease,
  contents: ReadonlyMap<string, Uint8Array>,
  told: (what: string) => void,
): Promise<void> {
  await handContents(caller, signed.blobs, contents, told);
  const rollout = signed.release.id;
  const bytes = signed.blobs.reduce((sum, { size_bytes }) => sum + size_bytes, 0);
  const timeout_ms = Math.min(60_000, STAGE_MS + Math.ceil((bytes * signed.manifests.length) / BYTES_PER_MS));
  let done = 0;
  await each(PARALLEL, signed.manifests, async ({ id, envelope }) => {
    await callController(caller, "stage", { rollout, id, manifest: envelope }, { timeout_ms });
    done += 1;
    told(`handed over ${done} of ${signed.manifests.length}`);
  });
  await callController(caller, "apply", { rollout, release: signed.envelope });
}

async function handContents(
  caller: Caller,
  blobs: readonly BlobRef[],
  contents: ReadonlyMap<string, Uint8Array>,
  told: (what: string) => void,
): Promise<void> {
  for (let at = 0; at < blobs.length; at += ASKED_AT_ONCE) {
    const asked = blobs.slice(at, at + ASKED_AT_ONCE);
    const missing = new Set((await callController(caller, "blobs", { blobs: asked })).missing);
    const wanted = asked.filter(({ sha256 }) => missing.has(sha256));
    for (const [index, blob] of wanted.entries()) {
      told(`handing over file ${index + 1} of ${wanted.length}, ${Math.ceil(blob.size_bytes / 1_024)} KiB`);
      await handContent(caller, blob, contents.get(blob.sha256));
    }
  }
}

async function handContent(caller: Caller, blob: BlobRef, bytes: Uint8Array | undefined): Promise<void> {
  const what = `content ${blob.sha256.slice(0, 12)} of ${blob.size_bytes} bytes`;
  if (bytes === undefined)
    throw new FleetError(
      "NOT_FOUND",
      `${what} is no longer stored, and the folder has another; nothing was changed`,
    );
  const chunks = Array.from({ length: chunksOf(blob) }, (_, chunk) => chunk);
  await each(CHUNKS_AT_ONCE, chunks, async (chunk) => {
    const data = Buffer.from(bytes.subarray(chunk * BLOB_CHUNK_BYTES, (chunk + 1) * BLOB_CHUNK_BYTES));
    await callController(caller, "blob", { blob, chunk, data: data.toString("base64") });
  });
  const { missing } = await callController(caller, "blobs", { blobs: [blob] });
  if (missing.length > 0)
    throw new FleetError("ALTERED", `${what} came to the controllers with another hash`);
}

/** Does the work for each, some at a time; the first error ends it. */
async function each<T>(
  at_once: number,
  items: readonly T[],
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = [...items];
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) await work(next);
  };
  await Promise.all(Array.from({ length: Math.min(at_once, queue.length) }, worker));
}
