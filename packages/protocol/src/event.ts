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
] as const;
export type EventKind = (typeof EVENT_KINDS)[number];

export const FleetEvent = z.object({
  at: Instant,
  kind: z.enum(EVENT_KINDS),
  severity: z.enum(["info", "warning", "error"]),
  what: z.string().max(4_000).describe("The whole sentence, as ctl prints it behind the host's name."),
  ref: ResourceRef.optional(),
  session: z.string().optional(),
  rollout: RandomId.optional(),
  by: z.string().optional().describe("The person whose order it was."),
  diff: z.string().max(65_536).optional(),
});
export type FleetEvent = z.infer<typeof FleetEvent>;
