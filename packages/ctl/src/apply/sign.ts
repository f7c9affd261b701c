/** What the person signs: a manifest a host and one release over all of them. Pure but for the randomness in a signature's nonce. */
import { type BlobRef, blobsOf } from "@muster/protocol/blob";
import { type EnvelopeSigner, type StoredEnvelope, seal, storeEnvelope } from "@muster/protocol/envelope";
import { FleetError } from "@muster/protocol/errors";
import { MANIFEST_BYTES, type Manifest, type OpenedManifest } from "@muster/protocol/manifest";
import type { Gate, Release } from "@muster/protocol/release";
import { subjects } from "@muster/protocol/subjects";
import type { Desired } from "./desired.ts";
import type { Order } from "./waves.ts";

/** Until when a controller may publish, or send a host back. */
const RELEASE_LIFE_MS = 24 * 3_600_000;
/** A colleague's clock may be ahead of ours by this much. */
const AHEAD_LIMIT_MS = 5 * 60_000;
/** A staged manifest travels as base64 in JSON inside one message of 1 MiB. */
const STAGED_BYTES = Math.min(MANIFEST_BYTES, Math.floor((1_020 * 1_024 * 3) / 4));

export type Change = {
  readonly name: string;
  readonly id: string;
  readonly desired: Pick<Desired, "content" | "content_hash" | "rolled_back">;
  readonly last: OpenedManifest | null;
  /** Of the plan that was shown; null for a host that was silent. */
  readonly plan_index: string | null;
};

export type Ordering = {
  readonly fleet: string;
  readonly rollout: string;
  readonly generation: number;
  readonly message: string;
  readonly overwrite: (name: string) => readonly string[];
  readonly force: boolean;
  readonly within_ms: number | null;
  readonly order: Order;
  readonly gate: Gate;
};

export type SignedRelease = {
  readonly release: Release;
  /** Contents that its manifests name, each once. */
  readonly blobs: readonly BlobRef[];
  readonly envelope: StoredEnvelope;
  readonly manifests: readonly {
    readonly name: string;
    readonly id: string;
    readonly envelope: StoredEnvelope;
  }[];
};

/**
 * Signs a release and its manifests.
 * Errors: TOO_LARGE naming the host; CLOCK_SKEW when the newest manifest was signed more than 5 min ahead of this clock.
 */
export function signRelease(
  changes: readonly Change[],
  how: Ordering,
  signer: EnvelopeSigner,
  now_ms: number,
): SignedRelease {
  const at_ms = signingTime(changes, now_ms);
  const not_after = at_ms + RELEASE_LIFE_MS;
  const manifests = changes.map((change) => {
    const { name, id, last } = change;
    const manifest: Manifest = {
      v: 1,
      fleet: how.fleet,
      host: name,
      id,
      generation: how.generation,
      release: {
        id: how.rollout,
        return_to: last?.manifest.content_hash ?? null,
        ...(last === null ? {} : { previous: last.manifest.release.id }),
        not_after,
      },
      content: change.desired.content,
      content_hash: change.desired.content_hash,
      intent: {
        message: how.message,
        plan_index: change.plan_index,
        overwrite: [...how.overwrite(name)],
        force: how.force,
        within_ms: how.within_ms,
      },
      rolled_back: change.desired.rolled_back,
    };
    const body = Buffer.from(JSON.stringify(manifest));
    if (body.length > STAGED_BYTES) {
      throw new FleetError(
        "TOO_LARGE",
        `what ${name} should be takes ${body.length} bytes, at most ${STAGED_BYTES} fit: shorten or split its files`,
      );
    }
    return { name, id, envelope: storeEnvelope(seal(subjects.desired(id), body, signer, at_ms)) };
  });
  const release: Release = {
    v: 1,
    id: how.rollout,
    fleet: how.fleet,
    generation: how.generation,
    message: how.message,
    waves: how.order.waves,
    gate: how.gate,
    never_together: how.order.never_together,
    hosts: Object.fromEntries(
      changes.map(({ name, id, desired, last }) => [
        name,
        { id, content_hash: desired.content_hash, return_to: last?.manifest.content_hash ?? null },
      ]),
    ),
    not_after,
  };
  const envelope = storeEnvelope(
    seal(subjects.release(how.rollout), Buffer.from(JSON.stringify(release)), signer, at_ms),
  );
  const blobs = blobsOf(changes.flatMap(({ desired }) => desired.content.resources));
  return { release, blobs, envelope, manifests };
}

/** A host takes nothing that was signed before what it holds: a clock that is a little behind a colleague's signs a moment after. */
function signingTime(changes: readonly Change[], now_ms: number): number {
  const newest_ms = Math.max(0, ...changes.map((change) => (change.last?.signed_at_ms ?? -1) + 1));
  if (newest_ms - now_ms > AHEAD_LIMIT_MS) {
    throw new FleetError(
      "CLOCK_SKEW",
      `the newest manifest was signed at ${new Date(newest_ms).toISOString()}, and here it is ${new Date(now_ms).toISOString()}`,
    );
  }
  return Math.max(now_ms, newest_ms);
}
