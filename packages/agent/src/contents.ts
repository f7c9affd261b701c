/**
 * Which file contents this host has on its disk: all that the manifests need which it may come to apply without the network (in force, accepted,
 * the one to return to), so that restart, drift correction and a return work on their own; then those of older manifests, within a budget.
 */
import { type BlobRef, blobsOf } from "@muster/protocol/blob";
import { FleetError } from "@muster/protocol/errors";
import type { ManifestContent } from "@muster/protocol/manifest";
import type { Ledger } from "./ledger.ts";
import type { Blobs, ChunkSource } from "./ports/blobs.ts";

/** Contents that are fetched at once. */
const AT_ONCE = 8;
/** For what may be wanted again and is not sure to be. */
const OLDER_BYTES = 512 * 1024 * 1024;

/** What of a content's needs is not on this host. */
export async function missingHere(content: ManifestContent, blobs: Pick<Blobs, "has">): Promise<BlobRef[]> {
  const refs = blobsOf(content.resources);
  const here = await Promise.all(refs.map((ref) => blobs.has(ref)));
  return refs.filter((_, index) => !here[index]);
}

/** Fetches them, some at a time; what fails keeps none of the others. Errors: the first one, once all have ended. */
export async function fetchAll(
  refs: readonly BlobRef[],
  blobs: Pick<Blobs, "fetch">,
  source: ChunkSource,
  signal: AbortSignal,
): Promise<void> {
  const queue = [...refs];
  const failures: unknown[] = [];
  const work = async (): Promise<void> => {
    for (let ref = queue.shift(); ref !== undefined && !signal.aborted; ref = queue.shift()) {
      try {
        await blobs.fetch(ref, source, signal);
      } catch (error) {
        if (!(error instanceof FleetError)) throw error;
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, queue.length) }, work));
  if (failures.length > 0) throw failures[0];
}

/** A manifest that the disk has damaged is not applied again; what is in force was read before. */
function unreadable(error: unknown): null {
  if (error instanceof FleetError) return null;
  throw error;
}

/** Removes what no manifest that is kept here needs, or only older ones beyond the budget. */
export async function forgetOthers(ledger: Ledger, blobs: Pick<Blobs, "empty" | "keepOnly">): Promise<void> {
  // Every manifest that is kept would be read for it.
  if (await blobs.empty()) return;
  const { accepted, in_force, returned_to } = ledger.state;
  const sure = new Set<string>();
  const older: BlobRef[] = [];
  const returns = new Set([accepted?.content_hash, in_force?.content_hash, returned_to]);
  for (const held of [accepted, in_force])
    if (held !== null) returns.add((await ledger.manifest(held)).release.return_to);
  for (const kept of await ledger.kept()) {
    const manifest = await ledger.manifest(kept, false).catch(unreadable);
    const needs = manifest === null ? [] : blobsOf(manifest.content.resources);
    if (!returns.has(kept.content_hash)) older.push(...needs);
    else for (const { sha256 } of needs) sure.add(sha256);
  }
  let left = OLDER_BYTES;
  for (const { sha256, size_bytes } of older) {
    if (sure.has(sha256) || size_bytes > left) continue;
    left -= size_bytes;
    sure.add(sha256);
  }
  await blobs.keepOnly(sure);
}
