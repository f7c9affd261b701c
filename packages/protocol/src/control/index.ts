/**
 * The table of methods that controllers answer on `ctl.<method>`. Each request is a signed command like an RPC; each reply has the same form.
 * How an apply goes: `head` → sign → `stage` each manifest → `apply` the release (compare-and-set of the generation) → watch telemetry or `rollout`.
 */
import { z } from "zod";
import { StoredEnvelope } from "../envelope.ts";
import { EVENT_KINDS, FleetEvent } from "../event.ts";
import { GroupName, HostId, HostName, Instant, RandomId } from "../names.ts";
import { HostRecord, HostView, Rollout, WaitingEnrolment } from "../record.ts";
import { method } from "../rpc/method.ts";
import { TELEMETRY_KINDS } from "../telemetry/index.ts";

const none = z.strictObject({});

export const CONTROL = {
  /** Every host with its last samples, paged by name. */
  hosts: method({
    authority: "viewer",
    for_ci: true,
    timeout_ms: 5_000,
    request: z.strictObject({ after: HostName.nullable(), limit: z.int().min(1).max(500) }),
    reply: z.object({ hosts: z.array(HostView), next: HostName.nullable(), now: Instant }),
  }),
  /** Last values of one kind, paged by host. */
  last: method({
    authority: "viewer",
    timeout_ms: 5_000,
    request: z.strictObject({
      kind: z.enum(TELEMETRY_KINDS),
      after: HostName.nullable(),
      limit: z.int().min(1).max(500),
    }),
    reply: z.object({
      values: z.array(z.object({ host: z.string(), id: z.string(), heard_at: Instant, sample: z.json() })),
      next: HostName.nullable(),
    }),
  }),
  /** Events that are kept, newest last. */
  events: method({
    authority: "viewer",
    timeout_ms: 5_000,
    request: z.strictObject({
      since: Instant.nullable(),
      host: HostName.optional(),
      kind: z.enum(EVENT_KINDS).optional(),
      limit: z.int().min(1).max(1_000),
    }),
    reply: z.object({ events: z.array(z.object({ host: z.string(), id: z.string(), event: FleetEvent })) }),
  }),
  /** The newest release, for its signature to be checked by who asks. */
  head: method({
    authority: "operator",
    for_ci: true,
    timeout_ms: 5_000,
    request: none,
    reply: z.object({
      generation: z.int(),
      rollout: RandomId.nullable(),
      release: StoredEnvelope.nullable(),
    }),
  }),
  /** Hands over one signed manifest of a rollout that is not yet ordered. */
  stage: method({
    authority: "operator",
    for_ci: true,
    timeout_ms: 10_000,
    request: z.strictObject({ rollout: RandomId, id: HostId, manifest: StoredEnvelope }),
    reply: z.object({ staged: z.literal(true) }),
  }),
  /** Orders a rollout: every manifest that the release names must be staged and fit. CONFLICT when the generation was taken. */
  apply: method({
    authority: "operator",
    for_ci: true,
    timeout_ms: 10_000,
    request: z.strictObject({ rollout: RandomId, release: StoredEnvelope }),
    reply: z.object({ rollout: RandomId, generation: z.int() }),
  }),
  rollout: method({
    authority: "operator",
    for_ci: true,
    timeout_ms: 5_000,
    request: z.strictObject({ rollout: RandomId.nullable().describe("Null = the newest.") }),
    reply: z.object({ rollout: Rollout.nullable() }),
  }),
  abort: method({
    authority: "operator",
    timeout_ms: 5_000,
    request: z.strictObject({ rollout: RandomId }),
    reply: z.object({ rollout: Rollout }),
  }),
  enrolments: method({
    authority: "operator",
    timeout_ms: 5_000,
    request: none,
    reply: z.object({ waiting: z.array(WaitingEnrolment) }),
  }),
  approve: method({
    authority: "operator",
    timeout_ms: 10_000,
    request: z.strictObject({
      fingerprint: z.string().max(64),
      name: HostName,
      groups: z.array(GroupName).max(32),
    }),
    reply: z.object({ name: HostName, id: HostId }),
  }),
  reject: method({
    authority: "operator",
    timeout_ms: 5_000,
    request: z.strictObject({ fingerprint: z.string().max(64) }),
    reply: z.object({ rejected: z.literal(true) }),
  }),
  /** One host's record, by name. */
  host: method({
    authority: "operator",
    for_ci: true,
    timeout_ms: 5_000,
    request: z.strictObject({ name: HostName }),
    reply: z.object({ record: HostRecord.nullable() }),
  }),
  /** A newer trust bundle, signed by an admin; it is checked and then stored for everybody. */
  trust: method({
    authority: "admin",
    timeout_ms: 5_000,
    request: z.strictObject({ bundle: StoredEnvelope }),
    reply: z.object({ version: z.int() }),
  }),
} as const;

export type ControlMethod = keyof typeof CONTROL;
export const CONTROL_METHODS = Object.keys(CONTROL) as ControlMethod[];
export type ControlRequest<M extends ControlMethod> = z.output<(typeof CONTROL)[M]["request"]>;
export type ControlReply<M extends ControlMethod> = z.output<(typeof CONTROL)[M]["reply"]>;
