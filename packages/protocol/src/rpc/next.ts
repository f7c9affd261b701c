/** RPC `next`: the next chunks of a stream that a streamed method opened. Asking is the credit: a host sends nothing that was not asked for. */
import { z } from "zod";
import { ErrorReply } from "../errors.ts";
import { Json } from "../json.ts";
import { RandomId } from "../names.ts";
import { method } from "./method.ts";

export const next = method({
  what: "The next chunks of a stream, as soon as there are some; only for who opened it.",
  authority: "operator",
  for_ci: true,
  // Its opening is told.
  audited: "refusals",
  timeout_ms: 15_000,
  request: z.strictObject({
    stream: RandomId.describe("As the method that opened it answered."),
    from: z
      .int()
      .min(0)
      .describe("Number of the first chunk that is asked for; those before it have arrived."),
    stop: z.boolean().describe("End what feeds the stream; the end marker still comes."),
  }),
  reply: z.object({
    from: z.int().describe("Number of the first chunk here; they are numbered from 0 without a gap."),
    chunks: z.array(Json).describe("By the schema of the method; none = nothing happened for a while."),
    end: z
      .union([
        z.object({ ok: Json.describe("By the schema of the method.") }),
        z.object({ error: ErrorReply.describe("Why it did not go well.") }),
      ])
      .nullable()
      .describe("With the last chunk: how it ended. Null = there is more to come."),
  }),
});
