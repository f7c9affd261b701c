/**
 * A release: what `ctl apply` signs for the controllers on `release.<rollout>`. They decide only when: each staged manifest goes out at
 * its wave, and a host may be sent back to the content that its own manifest names as `return_to`.
 */
import { z } from "zod";
import { type Envelope, open, type Verifier } from "./envelope.ts";
import { parseJson } from "./errors.ts";
import { FleetName, HostId, HostName, Instant, RandomId, Sha256 } from "./names.ts";
import { subjects } from "./subjects.ts";

export const Gate = z.strictObject({
  wave_timeout_ms: z
    .int()
    .min(1_000)
    .describe("How long a wave may take to converge before the rollout stops."),
  max_failed: z.int().min(0).describe("More failed hosts than this stop the rollout."),
});
export type Gate = z.infer<typeof Gate>;

export const Release = z.strictObject({
  v: z.literal(1),
  id: RandomId,
  fleet: FleetName,
  generation: z.int().min(1),
  message: z.string().max(500),
  waves: z.array(z.array(HostName).min(1).max(20_000)).min(1).max(100),
  gate: Gate,
  never_together: z
    .array(z.array(HostName).max(1_000))
    .max(1_000)
    .describe("Hosts of one failure domain: one after the other inside a wave."),
  hosts: z.record(
    HostName,
    z.strictObject({ id: HostId, content_hash: Sha256, return_to: Sha256.nullable() }),
  ),
  not_after: Instant,
});
export type Release = z.infer<typeof Release>;

export type OpenedRelease = {
  readonly release: Release;
  readonly by: string;
  readonly kit: boolean;
  readonly signed_at_ms: number;
};

/** Opens a release as of the time at which it was signed. Errors: as `open`, INVALID. */
export function openRelease(rollout: string, envelope: Envelope, verifier: Verifier): OpenedRelease {
  const opened = open(subjects.release(rollout), envelope, verifier, "operator", { signs_release: true });
  const release = parseJson(Release, envelope.body, "release");
  return { release, by: opened.principal.name, kit: opened.principal.kit, signed_at_ms: opened.signed_at_ms };
}
