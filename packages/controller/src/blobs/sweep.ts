/**
 * Makes room in stream BLOB when it is full. Kept is what a host may still ask for: content that any of its last manifests in DESIRED names (in
 * force, return targets, what a rollback goes back to), and all that was asked for within a day, since a release may be under way for so long. Gone
 * is the rest, and what belongs to hosts that are no longer enrolled. A chunk goes by an empty message in its place that lapses after a second.
 */
import type { Bus } from "@muster/ports/bus";
import { blobsOf, chunksOf, FLEET_BLOBS } from "@muster/protocol/blob";
import { FleetError, parseJson } from "@muster/protocol/errors";
import { subjects } from "@muster/protocol/subjects";
import { z } from "zod";
import { keyOf, readNote, writeNote } from "./note.ts";

export type SweepPorts = {
  readonly bus: Pick<Bus, "publishStored" | "readAll" | "kv">;
  readonly now: () => number;
  /** Whether a host with this id is enrolled. */
  enrolled(id: string): boolean;
};

/** As long as a release may be under way. */
const YOUNG_MS = 24 * 3_600_000;
const EMPTY = new Uint8Array();
/** Manifests are up to a megabyte each. */
const MANIFESTS_AT_ONCE = 16;

/** Only what is looked for: an old manifest may hold what is no longer declared so. */
const Needs = z.object({
  id: z.string(),
  content: z.object({ resources: z.array(z.object({ kind: z.string(), spec: z.unknown() })) }),
});

/** Takes away what nobody needs; how many bytes that were. Errors: INVALID for a stored manifest that cannot be read, and nothing goes then. */
export async function sweepBlobs(ports: SweepPorts): Promise<number> {
  const { bus, now } = ports;
  const kv = bus.kv("blobs");
  const entries = await kv.entries();
  const needed = new Set<string>();
  for await (const message of bus.readAll("DESIRED", "desired.*", { batch: MANIFESTS_AT_ONCE })) {
    const { id, content } = parseJson(Needs, message.body, `the manifest stored on ${message.subject}`);
    if (!ports.enrolled(id)) continue;
    for (const { sha256 } of blobsOf(content.resources)) {
      needed.add(keyOf(id, sha256));
      needed.add(keyOf(FLEET_BLOBS, sha256));
    }
  }
  let freed = 0;
  for (const entry of entries) {
    if (needed.has(entry.key) || now() - entry.stored_at < YOUNG_MS) continue;
    const { size_bytes } = readNote(entry);
    const [owner = "", sha256 = ""] = entry.key.split(".");
    try {
      const going = writeNote({ state: "going", size_bytes });
      const revision = await kv.update(entry.key, going, entry.revision);
      for (let n = 0; n < chunksOf({ size_bytes }); n++)
        await bus.publishStored(subjects.blob(owner, sha256, n), EMPTY, { ttl_s: 1 });
      await kv.delete(entry.key, { revision, ttl_s: 60 });
      freed += size_bytes;
    } catch (error) {
      // Somebody needs it again.
      if (!(error instanceof FleetError) || error.code !== "CONFLICT") throw error;
    }
  }
  return freed;
}
