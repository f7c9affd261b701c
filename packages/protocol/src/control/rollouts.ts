/** `ctl.rollouts`: the newest changes as they went or go out, in short: who ordered them, how far each batch is, and where one went wrong and why. */
import { z } from "zod";
import { HostName, Instant } from "../names.ts";
import { HostRollout, Rollout } from "../record.ts";
import { method } from "../rpc/method.ts";

/** Of one rollout as many hosts with something to say at most. */
export const ROLLOUT_HOSTS_LIMIT = 200;

export const RolloutBrief = Rollout.omit({ waves: true, hosts: true }).extend({
  waves: z
    .array(z.partialRecord(HostRollout.shape.state, z.int()).describe("Hosts by how far they are."))
    .describe("First wave first."),
  hosts: z
    .array(HostRollout.extend({ host: HostName, wave: z.int().describe("Index of its wave; -1 = of none.") }))
    .max(ROLLOUT_HOSTS_LIMIT)
    .describe("Those that failed, were silent or went back, and those on their way."),
  left_out: z.int().describe("So many more of those there are."),
});
export type RolloutBrief = z.infer<typeof RolloutBrief>;

export const rollouts = method({
  what: "The newest rollouts in short, newest first.",
  authority: "viewer",
  timeout_ms: 5_000,
  request: z.strictObject({ limit: z.int().min(1).max(20).describe("The newest so many.") }),
  reply: z.object({
    rollouts: z.array(RolloutBrief).describe("Newest first; as many as fit into a message."),
    now: Instant.describe("The controller's clock."),
  }),
});
