/** RPC `audit`: the head of the host's own chain of records, signed with the host's key, to hold the stream's copy against. */
import { z } from "zod";
import { Instant, Sha256 } from "../names.ts";
import { method } from "./method.ts";

export const audit = method({
  what: "The newest record of the host's own audit, signed by the host.",
  authority: "operator",
  audited: "sums",
  timeout_ms: 5_000,
  request: z.strictObject({
    nonce: z
      .string()
      .regex(/^[0-9a-f]{32}$/)
      .describe("The asker's own, so that no older answer serves."),
  }),
  reply: z.object({
    seq: z.int().min(0).describe("Its number; 0 = there is none."),
    hash: Sha256.describe("Its hash."),
    waiting: z.int().min(0).describe("So many of the newest are still to be sent to the broker."),
    unwritten: z
      .int()
      .min(0)
      .describe("So many of the newest are not on the host's disk, as when it is full."),
    at: Instant,
    signature: z.base64().describe("By the host's own key over number, hash and nonce."),
  }),
});
