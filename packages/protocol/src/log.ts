/** Lines of a host's journal and containers on their way to the controllers: `log.<id>.<host>`, core NATS and no stream. Only what a `log` resource names is sent. */
import { z } from "zod";
import { Instant } from "./names.ts";
import { PRIORITIES } from "./rpc/logs.ts";

/** Of one message, as text. */
export const LOG_BATCH_BYTES = 64 * 1024;
export const LOG_BATCH_LINES = 1_000;

export const SentLine = z.object({
  at: Instant.describe("When it was written."),
  unit: z.string().max(256).optional().describe("The systemd unit that it is of."),
  container: z.string().max(128).optional().describe("Or the container."),
  priority: z.enum(PRIORITIES).nullable().describe("Null where the source has none."),
  text: z.string().describe("The line; of more than 8192 characters the first."),
});
export type SentLine = z.infer<typeof SentLine>;

export const LogBatch = z
  .object({
    at: Instant.describe("When it was sent."),
    lines: z.array(SentLine).max(LOG_BATCH_LINES).describe("In the order in which they were read."),
    dropped: z
      .int()
      .min(0)
      .describe(
        "So many were dropped since the message before: more was written than is sent, or no broker took it.",
      ),
  })
  .describe("Lines of what the host's `log` resources name; for controllers alone.");
export type LogBatch = z.infer<typeof LogBatch>;
