/**
 * The plan: the steps from observed to desired, each with its reason, and what is waited for. Computed by a pure function on the host,
 * shown by `ctl plan`, recorded; applying it makes no further choice.
 */
import { z } from "zod";
import { contentHash } from "./canonical.ts";
import { ErrorReply } from "./errors.ts";
import { Json } from "./json.ts";
import { HostName, Instant, ResourceRef, Sha256 } from "./names.ts";

export const Step = z.object({
  ref: ResourceRef,
  action: z
    .string()
    .max(64)
    .describe("What is done, a verb of the kind: write, chmod, start, reload, configure, remove …"),
  args: z.record(z.string(), Json).describe("All that applying it needs; typed by the kind."),
  why: z.string().max(2_000).describe("The reason, for the operator."),
  diff: z
    .string()
    .max(65_536)
    .optional()
    .describe("Unified difference of a text; secrets never stand in it."),
  effect: z
    .string()
    .max(2_000)
    .optional()
    .describe("What it does to a daemon: reloads in place, resets session x."),
  reversible: z.boolean().describe("Whether it can be undone."),
});
export type Step = z.infer<typeof Step>;

/** Something that differs from the last accepted manifest without a new one. */
export const Drift = z.object({
  ref: ResourceRef,
  what: z.string().max(2_000).describe("Such as: edited by root 03:12."),
  since: Instant.nullable().describe("When it was edited; null = unknown."),
  action: z.enum(["corrected", "left", "asked"]).describe("What was done about it."),
});
export type Drift = z.infer<typeof Drift>;

export const GuardPlan = z.object({
  window_ms: z.int().describe("How long it watches."),
  sessions: z.array(z.string()).describe("Sessions that must be up and keep their imports."),
  also: z.array(z.string()).describe("The other probes: ssh, default route, a new bus connection."),
});
export type GuardPlan = z.infer<typeof GuardPlan>;

export const Plan = z.object({
  host: HostName,
  content_hash: Sha256.describe("What it leads to."),
  index: Sha256.describe("Name of the plan: the same for two that would do the same."),
  steps: z.array(Step).max(20_000).describe("What would be done, in this order."),
  waiting: z
    .array(
      z.object({
        ref: ResourceRef,
        why: z.string().max(2_000).describe("What it waits for."),
        error: ErrorReply.shape.code.optional(),
      }),
    )
    .describe(
      "Not done now, and why: held, unsupported, needs something that failed. `error` HELD is meant so, others are not.",
    ),
  refused: z
    .array(z.object({ ref: ResourceRef, error: ErrorReply.describe("Why it is refused.") }))
    .optional()
    .describe(
      "Declarations that are wrong for this host: while there is one, nothing of the manifest is applied.",
    ),
  drift: z.array(Drift).describe("What was edited by hand."),
  left: z
    .array(z.object({ ref: ResourceRef, why: z.string().max(500).describe("Why it stays.") }))
    .describe("No longer declared and left in place, since Muster did not make it."),
  notes: z.array(z.string().max(2_000)).describe("Such as: checked by BIRD 2.0.12 there."),
  guard: GuardPlan.nullable().describe(
    "What has to hold after the change; null = nothing can cut the host off.",
  ),
});
export type Plan = z.infer<typeof Plan>;

/** The name of a plan: two plans that would do the same to the same target are one. */
export const planIndex = (plan: Pick<Plan, "content_hash" | "steps">) =>
  contentHash({
    target: plan.content_hash,
    steps: plan.steps.map(({ ref, action, args }) => ({ ref, action, args })),
  });
