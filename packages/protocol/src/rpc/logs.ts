/** RPC `logs`: lines of the host's journal or of a container, the newest and what comes, as a stream. */
import { z } from "zod";
import { Instant } from "../names.ts";
import { streamed } from "./streamed.ts";

export const LOG_LINES_LIMIT = 10_000;
/** Longer lines are cut. */
export const LOG_TEXT_LIMIT = 8_192;

/** As syslog names them; each takes in the more urgent ones. */
export const PRIORITIES = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"] as const;
export type Priority = (typeof PRIORITIES)[number];

export const LogLine = z.object({
  at: Instant.describe("When it was written."),
  from: z.string().max(256).describe("Who wrote it: the program's own name for itself."),
  priority: z.enum(PRIORITIES).nullable().describe("Null where the source has none."),
  text: z.string().describe(`The line; of more than ${LOG_TEXT_LIMIT} characters the first.`),
  cut: z.boolean().describe("It was longer."),
});
export type LogLine = z.infer<typeof LogLine>;

export const logs = streamed({
  what: "Lines of the journal or of a container, the newest and what comes.",
  authority: "operator",
  audited: "sums",
  timeout_ms: 10_000,
  request: z.strictObject({
    units: z
      .array(z.string().regex(/^[A-Za-z0-9:_.@\\][A-Za-z0-9:_.@\\-]{0,199}$/, "must be the name of a unit"))
      .max(16)
      .describe("Of these systemd units; none = the whole journal."),
    container: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/, "must be the name of a container")
      .nullable()
      .describe("Of this container instead of the journal, without `grep` and `priority`."),
    follow: z.boolean().describe("Go on with what is written from now on."),
    since: Instant.nullable().describe("Not older than this."),
    last: z.int().min(0).max(LOG_LINES_LIMIT).describe("Of the past at most the newest so many."),
    grep: z
      .string()
      .min(1)
      .max(500)
      .nullable()
      .describe("Only lines that this regular expression (PCRE) fits."),
    priority: z.enum(PRIORITIES).nullable().describe("Only lines as urgent as this, and more urgent ones."),
  }),
  chunk: LogLine,
  end: z.object({ lines: z.int().describe("How many were sent.") }),
});
