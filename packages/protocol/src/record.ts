/** What the controllers keep of a host: who it is, and the last that was heard of it. */
import { z } from "zod";
import { HostId, HostName, Instant } from "./names.ts";
import { BgpSample, Convergence, Health } from "./telemetry/index.ts";

/** Kept in bucket `hosts` under the host's name. */
export const HostRecord = z.object({
  name: HostName,
  id: HostId,
  ssh_public_key: z.string(),
  curve: z.string(),
  groups: z
    .array(z.string())
    .describe("As the join string or the approval said; the manifest decides later."),
  enrolled_at: Instant,
  enrolled_by: z.string().describe("Who made the join string, or approved."),
  recoveries: z.int(),
  state: z.enum(["enrolled", "retired"]),
  certificates: z
    .object({ user_jwt: Instant, service: Instant, ssh: Instant })
    .describe("When each issued one ends."),
  os: z.string(),
  agent_version: z.string(),
});
export type HostRecord = z.infer<typeof HostRecord>;

/** A host as `ctl.hosts` tells it. */
export const HostView = z.object({
  record: HostRecord,
  heard_at: Instant.nullable().describe("When its last telemetry came; null = never."),
  silent: z.boolean(),
  convergence: Convergence.nullable(),
  bgp: BgpSample.nullable(),
  health: Health.nullable(),
});
export type HostView = z.infer<typeof HostView>;

export const HostRollout = z.object({
  state: z.enum(["waiting", "published", "converged", "failed", "silent", "returned"]),
  at: Instant,
  detail: z.string(),
});
export type HostRollout = z.infer<typeof HostRollout>;

/** A rollout's state machine, kept in bucket `rollouts` under its id; its revision is the lock. */
export const Rollout = z.object({
  id: z.string(),
  generation: z.int(),
  by: z.string(),
  message: z.string(),
  started_at: Instant,
  ended_at: Instant.nullable(),
  state: z.enum(["running", "done", "failed", "aborted"]),
  wave: z.int().describe("Index of the current wave."),
  waves: z.array(z.array(z.string())),
  hosts: z.record(z.string(), HostRollout),
  detail: z.string(),
});
export type Rollout = z.infer<typeof Rollout>;

/** A machine that asked without a join string. */
export const WaitingEnrolment = z.object({
  fingerprint: z.string(),
  name: HostName,
  id: HostId,
  facts: z.object({ hostname: z.string(), os: z.string(), addresses: z.array(z.string()) }),
  from: z.string().describe("Its address as the broker saw it."),
  asked_at: Instant,
});
export type WaitingEnrolment = z.infer<typeof WaitingEnrolment>;
