/**
 * Telemetry `convergence`: where the host stands with its desired state. Sent on every change, and every 10 s so that silence shows.
 */
import { z } from "zod";
import { Instant, ResourceRef, Sha256 } from "../names.ts";
import { Drift } from "../plan.ts";

export const CONVERGENCE_PERIOD_MS = 10_000;
/** After this long without a word a host is silent. */
export const SILENT_AFTER_MS = 25_000;

export const ConvergenceState = z.enum([
  "watched", // no manifest yet
  "converged",
  "applying",
  "unconfirmed", // changed, and the guard is watching
  "undone", // the guard took the change back
  "failed",
  "refused", // the manifest was not accepted; the last good one is kept
  "returned", // sent back by the controller to the content before
]);
export type ConvergenceState = z.infer<typeof ConvergenceState>;

export const ExpiringCertificate = z.object({ name: z.enum(["bus", "service", "ssh"]), not_after: Instant });
export type ExpiringCertificate = z.infer<typeof ExpiringCertificate>;

export const Convergence = z.object({
  at: Instant,
  state: ConvergenceState,
  since: Instant,
  generation: z.int().nullable().describe("The newest accepted; null while only watched."),
  content_hash: Sha256.nullable(),
  release: z.string().nullable(),
  detail: z
    .string()
    .max(4_000)
    .describe("For the operator: what, in the daemon's own words. Empty when all is well."),
  error: z.string().nullable().describe("Code of the closed table."),
  resources: z.object({
    total: z.int(),
    ok: z.int(),
    managed: z.record(z.string(), z.int()).describe("Count by kind."),
  }),
  troubles: z
    .array(z.object({ ref: ResourceRef, what: z.string().max(2_000), since: Instant }))
    .max(200)
    .describe("Resources that failed or stopped."),
  drift: z.array(Drift).max(200),
  held: z.array(
    z.object({
      ref: ResourceRef.nullable().describe("Null = the whole host."),
      why: z.string(),
      by: z.string(),
      until: Instant.nullable(),
    }),
  ),
  undo_at: Instant.nullable().describe("When an unconfirmed change is taken back."),
  certificates: z.array(ExpiringCertificate),
  clock_skew_ms: z.int().nullable(),
  agent_version: z.string(),
  last_apply_ms: z.int().nullable().describe("How long the last apply took on the host."),
});
export type Convergence = z.infer<typeof Convergence>;
