/**
 * Telemetry `checks`: what is declared to answer, and whether it does. Sent on every turn, and every 10 s while there is a check. One that cannot be run, or
 * has not been run yet, is `blind`: never green.
 */
import { z } from "zod";
import { Instant } from "../names.ts";
import { CHECK_METHODS, CHECKS_LIMIT, PROBE_REASONS } from "../resources/check.ts";

export const CHECKS_PERIOD_MS = 10_000;
/** So long a check that is new may have nothing to tell. */
export const CHECK_BLIND_AFTER_MS = 15_000;

export const CheckState = z.enum(["up", "down", "blind"]).catch("blind");
export type CheckState = z.infer<typeof CheckState>;

export const ProbeReason = z.object({
  name: z.enum(PROBE_REASONS).describe("What it is about."),
  ok: z.boolean().nullable().describe("Whether it holds; null = it cannot be told."),
  why: z.string().max(500).describe("What was seen."),
});
export type ProbeReason = z.infer<typeof ProbeReason>;

export const CheckRow = z.object({
  name: z.string().describe("Name of the resource: check/NAME."),
  method: z
    .enum([...CHECK_METHODS, "unknown"])
    .catch("unknown")
    .describe("How it is asked."),
  target: z.string().describe("What is asked, without what may be a secret."),
  state: CheckState.describe("up, down, or blind: it cannot be told."),
  since: Instant.describe("Since when it is in that state."),
  up_at: Instant.nullable().describe("When it last answered well; null = it never did."),
  ran_at: Instant.nullable().describe("When it was last asked; null = not yet."),
  latency_ms: z.number().nullable().describe("How long the last good answer took; null while there is none."),
  why: z
    .string()
    .max(500)
    .describe("The last bad answer in its own words, also while it is not down yet; empty when all is well."),
  every_ms: z.int().describe("How often it is asked."),
  reasons: z
    .array(ProbeReason)
    .max(PROBE_REASONS.length)
    .optional()
    .describe("Of a probe: the four things that must hold."),
});
export type CheckRow = z.infer<typeof CheckRow>;

export const ChecksSample = z
  .object({
    at: Instant,
    checks: z
      .array(CheckRow)
      .max(CHECKS_LIMIT + 1)
      .describe("Every declared one by its name; those beyond the limit are counted in one."),
  })
  .describe(
    "What is declared to answer, and whether it does. Sent on every turn besides; not sent by a host without checks.",
  );
export type ChecksSample = z.infer<typeof ChecksSample>;

export type CheckColour = "green" | "amber" | "red";

/** The one place that says which are red: also what has been blind for a while. */
export function checkColour(
  { state, since }: Pick<CheckRow, "state" | "since">,
  now_ms: number,
): CheckColour {
  if (state === "up") return "green";
  // A time that lies ahead is of a clock that was set back.
  return state === "blind" && Math.abs(now_ms - since) < CHECK_BLIND_AFTER_MS ? "amber" : "red";
}
