/**
 * Telemetry `convergence`: where the host stands with its desired state. Sent on every change, every 10 s, and when nothing else was told for a while, so that silence shows.
 */
import { z } from "zod";
import { Instant, ResourceRef, Sha256 } from "../names.ts";
import { Drift } from "../plan.ts";

export const CONVERGENCE_PERIOD_MS = 10_000;
/** So long at most a host tells nothing at all, of whatever kind. Beside one kind that is told every 10 s this takes two samples in 10 s, which was one. */
export const BEAT_MS = 3_500;
/** After this long without a word a host is silent: one that stood still for 10 s between two beats is not. With a look at it that is told within 15 s. */
export const SILENT_AFTER_MS = 14_000;

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

export const ExpiringCertificate = z.object({
  name: z
    .enum(["bus", "identity", "service", "ssh"])
    .describe("Which one; identity = the host's own log-in at Vault."),
  not_before: Instant.optional().describe("Since when the host has it."),
  not_after: Instant,
});
export type ExpiringCertificate = z.infer<typeof ExpiringCertificate>;

export const Convergence = z
  .object({
    at: Instant,
    state: ConvergenceState.describe("Where the host stands; `ctl status` says it in words."),
    since: Instant.describe("Since when, in milliseconds since 1970 UTC."),
    generation: z.int().nullable().describe("The newest accepted; null while only watched."),
    content_hash: Sha256.nullable().describe("Of the content accepted last; null while only watched."),
    release: z.string().nullable().describe("Id of the rollout that brought it."),
    detail: z
      .string()
      .max(4_000)
      .describe("For the operator: what, in the daemon's own words. Empty when all is well."),
    error: z.string().nullable().describe("Code of the closed table."),
    resources: z
      .object({
        total: z.int().describe("Declared."),
        ok: z.int().describe("As declared."),
        managed: z.record(z.string(), z.int()).describe("Count by kind."),
      })
      .describe("How many resources."),
    troubles: z
      .array(
        z.object({
          ref: ResourceRef,
          what: z.string().max(2_000).describe("What is wrong, in the daemon's own words."),
          since: Instant,
        }),
      )
      .max(200)
      .describe("Resources that failed or stopped."),
    drift: z.array(Drift).max(200).describe("What differs without a new manifest."),
    held: z
      .array(
        z.object({
          ref: ResourceRef.nullable().describe("Null = the whole host."),
          why: z.string().describe("The reason given."),
          by: z.string().describe("Who holds it."),
          until: Instant.nullable().describe("When it ends by itself; null = not."),
        }),
      )
      .describe("What is left alone on request."),
    drained: z
      .object({
        since: Instant,
        by: z.string().describe("Who drained it."),
        why: z.string().describe("The reason given."),
        until: Instant.nullable().describe(
          "When it was meant to be over: past that it alarms; null = never.",
        ),
        in_effect: z
          .boolean()
          .describe("Its routes carry GRACEFUL_SHUTDOWN, or its sessions with other networks are disabled."),
        disables: z
          .array(z.string())
          .max(10_000)
          .optional()
          .describe(
            "Sessions that are disabled for it, where bird.conf has no drain constant; absent: none.",
          ),
        addresses: z
          .array(z.string())
          .max(256)
          .optional()
          .describe("The host's own addresses: by them a neighbour's session with it is known."),
      })
      .nullable()
      .optional()
      .describe("Absent or null: not drained."),
    undo_at: Instant.nullable().describe("When an unconfirmed change is taken back."),
    certificates: z.array(ExpiringCertificate).describe("When the host's credentials end."),
    agent_version: z.string().describe("Version of the agent."),
    last_apply_ms: z.int().nullable().describe("How long the last apply took on the host."),
  })
  .describe(
    "Where the host stands with its desired state. Sent on every change besides, and when nothing was told for 3.5 s.",
  );
export type Convergence = z.infer<typeof Convergence>;

/** What a host says that has no manifest yet, at this instant. */
export const watched = (at: number, agent_version: string): Convergence => ({
  at,
  state: "watched",
  since: at,
  generation: null,
  content_hash: null,
  release: null,
  detail: "",
  error: null,
  resources: { total: 0, ok: 0, managed: {} },
  troubles: [],
  drift: [],
  held: [],
  undo_at: null,
  certificates: [],
  agent_version,
  last_apply_ms: null,
});
