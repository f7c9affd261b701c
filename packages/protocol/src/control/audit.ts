/** What operators ask controllers about the audit, and what they tell them for it: `audit`, `note`. */
import { z } from "zod";
import { Json } from "../json.ts";
import { HostId, Instant, Sha256 } from "../names.ts";
import { method } from "../rpc/method.ts";

/** What `ctl` does without a controller and tells one afterwards. */
export const NOTED = ["init", "kit", "login", "revoke", "operator", "vault", "restore"] as const;

export const audit = method({
  what: "Records of the audit as the stream has them, oldest first, paged.",
  authority: "operator",
  audited: "sums",
  timeout_ms: 10_000,
  request: z.strictObject({
    after: z.int().min(0).describe("The last number of the page before; 0 for the first."),
    since: Instant.nullable().describe("Not stored before this; null = all that is kept."),
    writer: HostId.nullable().describe("By this writer only."),
    limit: z
      .int()
      .min(1)
      .max(2_000)
      .describe("The most records on a page; there are fewer where they would not fit."),
  }),
  reply: z.object({
    records: z
      .array(
        z.object({
          at: z.int().min(1).describe("Its number in the stream."),
          stored_at: Instant.describe("By the broker's clock."),
          subject_of: z
            .string()
            .max(64)
            .describe("Under whose grant it was published: the broker holds the writer to it."),
          late_ms: z.int().min(0).describe("So long it waited for the broker; 0 = it did not."),
          record: Json.describe("As it was written: an audit record, or something that is none."),
        }),
      )
      .describe("In the stream's order."),
    next: z.int().nullable().describe("Give it as `after` for the next page; null = no more."),
    own: z
      .object({
        writer: HostId,
        seq: z.int().min(0).describe("The newest; 0 = none yet."),
        hash: Sha256,
      })
      .describe("What the controller that answers has written itself."),
  }),
});

export const note = method({
  what: "Records what `ctl` did by itself: it goes into the audit under the name of who signs.",
  authority: "operator",
  audited: "refusals",
  timeout_ms: 5_000,
  request: z.strictObject({
    what: z.enum(NOTED).describe("What was done."),
    target: z.string().max(300).describe("To what, in words. Never a secret."),
    result: z.enum(["done", "failed"]).describe("What came of it."),
  }),
  reply: z.object({ noted: z.literal(true) }),
});
