/** An event: a change that happened, on `event.<id>.<host>.<kind>`. The sentence is for people, the fields for programs. */
import { z } from "zod";
import { Instant, RandomId, ResourceRef } from "./names.ts";

export const EVENT_KINDS = [
  "enrolment",
  "convergence",
  "resource",
  "drift",
  "session",
  "guard",
  "trust",
  "refusal",
  "credentials",
  "rollout",
  "host",
  "kit",
  "drain",
  "exec",
  "check",
  "alert",
] as const;
export type EventKind = (typeof EVENT_KINDS)[number];

export const FleetEvent = z
  .object({
    at: Instant,
    // A newer agent's words must not make what happened unseen, nor harmless.
    kind: z.enum(EVENT_KINDS).catch("host").describe("What it is about."),
    severity: z.enum(["info", "warning", "error"]).catch("error").describe("How much it matters."),
    what: z.string().max(4_000).describe("The whole sentence, as ctl prints it behind the host's name."),
    ref: ResourceRef.optional(),
    session: z.string().optional().describe("The BGP session that it is about."),
    state: z
      .string()
      .max(20)
      .optional()
      .describe("Of a session that came up or went down: its BGP state from then on."),
    rollout: RandomId.optional().describe("The rollout that it is about."),
    by: z.string().optional().describe("The person whose order it was."),
    drained: z.literal(true).optional().describe("It happened on a host while that was drained."),
    diff: z
      .string()
      .max(65_536)
      .optional()
      .describe("Unified difference of a text; secrets never stand in it."),
  })
  .describe("A change that happened: a sentence for people, fields for programs.");
export type FleetEvent = z.infer<typeof FleetEvent>;
