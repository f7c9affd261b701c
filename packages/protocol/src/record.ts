/** What the controllers keep of a host: who it is, and the last that was heard of it. */
import { z } from "zod";
import { HostId, HostName, Instant } from "./names.ts";
import { KindFaults } from "./telemetry/fault.ts";
import { BgpSample, ChecksSample, Convergence, Health } from "./telemetry/index.ts";

/** Kept in bucket `hosts` under the host's name. */
export const HostRecord = z.object({
  name: HostName,
  id: HostId,
  ssh_public_key: z.string().describe("Its ssh host key."),
  curve: z.string().describe("Its public curve key, to which secrets are sealed."),
  groups: z
    .array(z.string())
    .describe("As the join string or the approval said; the manifest decides later."),
  labels: z
    .record(z.string(), z.string())
    .optional()
    .describe(
      "Variables to select by, as the newest ordered manifest has them; absent = none was ordered yet.",
    ),
  enrolled_at: Instant.describe("When it joined, in milliseconds since 1970 UTC."),
  enrolled_by: z.string().describe("Who made the join string, or approved."),
  recoveries: z.int().describe("How often it came back through its bound key."),
  state: z
    .enum(["enrolled", "retired", "renamed"])
    .describe("Whether it belongs to the fleet; `renamed`: a name that was, and that nobody else gets."),
  renamed: z
    .object({
      to: HostName.describe("What the host is called since."),
      at: Instant,
      by: z.string().describe("Whose order it was."),
    })
    .nullish()
    .describe("Of a name that was."),
  renamed_from: HostName.nullish().describe("The name that it had before."),
  retired: z
    .object({
      at: Instant,
      by: z.string().describe("Whose order it was."),
      why: z.string().describe("In the person's words."),
    })
    .nullish()
    .describe("Since when it belongs to it no more: nobody gets this name by enrolling."),
  mark: z
    .object({
      word: z.string().describe("What it tells at its next renewal."),
      generation: z.int().describe("How often it was renewed."),
    })
    .nullish()
    .describe("By which a copy of its state shows."),
  quarantined: z
    .object({
      at: Instant,
      why: z.string().describe("What was seen."),
      from: z
        .string()
        .nullish()
        .describe(
          "Address of the connection that was there first: of two at a time the other is closed. Null = not known.",
        ),
    })
    .nullish()
    .describe("Two machines have its key: since when nothing is issued for it."),
  certificates: z
    .object({ user_jwt: Instant, service: Instant, ssh: Instant })
    .describe("When each issued one ends."),
  os: z.string().describe("Its system, as it said at enrolment."),
  agent_version: z.string().describe("Version of its agent at enrolment."),
});
export type HostRecord = z.infer<typeof HostRecord>;

/** A host as `ctl.hosts` tells it. */
export const HostView = z.object({
  record: HostRecord.describe("Who it is."),
  heard_at: Instant.nullable().describe("When its last telemetry came; null = never."),
  silent: z.boolean().describe("No word for longer than it should take."),
  clock_skew_ms: z
    .int()
    .nullable()
    .optional()
    .describe(
      "By how much the host's clock is ahead of the controller's, as its last sample showed when it came; null = nothing came yet.",
    ),
  convergence: Convergence.nullable().describe("Its last sample; null = none."),
  bgp: BgpSample.nullable().describe("Its last sample; null = none."),
  health: Health.nullable().describe("Its last sample; null = none."),
  checks: ChecksSample.nullable().optional().describe("Its last sample; absent or null = none."),
  faults: z
    .array(KindFaults)
    .optional()
    .describe("What is wrong by the other kinds of telemetry: one for each that the host has something of."),
});
export type HostView = z.infer<typeof HostView>;

export const HostRollout = z.object({
  state: z
    .enum(["waiting", "published", "converged", "failed", "silent", "returned"])
    .describe("How far it is."),
  at: Instant,
  detail: z.string().describe("For the operator; empty when all is well."),
});
export type HostRollout = z.infer<typeof HostRollout>;

/** A rollout's state machine, kept in bucket `rollouts` under its id; its revision is the lock. */
export const Rollout = z.object({
  id: z.string().describe("Id of the rollout."),
  generation: z.int().describe("What it brings."),
  by: z.string().describe("Who signed it."),
  message: z.string().describe("Why, in the person's words."),
  started_at: Instant,
  ended_at: Instant.nullable().describe("Null while it goes on."),
  state: z.enum(["running", "done", "failed", "aborted"]).describe("How it stands."),
  wave: z.int().describe("Index of the current wave."),
  waves: z.array(z.array(z.string())).describe("Names of hosts, first wave first."),
  hosts: z.record(z.string(), HostRollout).describe("By name."),
  detail: z.string().describe("Why it stopped; empty when all is well."),
});
export type Rollout = z.infer<typeof Rollout>;

/** A machine that asked without a join string. */
export const WaitingEnrolment = z.object({
  fingerprint: z.string().describe("What people compare with the machine's own console."),
  name: HostName,
  id: HostId,
  facts: z
    .object({
      hostname: z.string().describe("The machine's own name."),
      os: z.string().describe("Its system."),
      addresses: z.array(z.string()).describe("Its addresses, as it says."),
    })
    .describe("What it says of itself, unproved."),
  from: z.string().describe("Its address as the broker saw it."),
  asked_at: Instant,
});
export type WaitingEnrolment = z.infer<typeof WaitingEnrolment>;
