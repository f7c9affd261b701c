/** Kind `timer`: a command that systemd runs again and again. The name becomes NAME.timer and NAME.service. */
import { z } from "zod";
import { Account } from "./path.ts";

/** A span of time as systemd.time(7) reads it too. */
const Span = z.string().regex(/^[1-9]\d{0,6}(s|min|h|d)$/, "must be a time such as 90s, 15min, 6h or 1d");
const Line = (longest: number) =>
  z
    .string()
    .min(1)
    .max(longest)
    .regex(/^[^\p{Cc}]+$/u, "must be one line");

export const Timer = z
  .strictObject({
    on_calendar: Line(256)
      .optional()
      .describe("When: `*-*-* 03:00`, `hourly`, `Mon 04:30` (systemd.time(7)). A missed run is made up."),
    every: Span.optional().describe("Or how often: first after that time, then that long after each start."),
    command: Line(4_096).optional().describe("What, as a line for /bin/sh."),
    exec: z
      .array(
        z
          .string()
          .max(4_096)
          .regex(/^[^\p{Cc}]*$/u, "must be one line"),
      )
      .min(1)
      .max(128)
      .optional()
      .describe("Or program (with its path) and arguments, without a shell."),
    user: Account.default("root").describe("Who runs it."),
    randomized_delay: Span.optional().describe(
      "Each run begins up to this much later, so that a fleet does not act at once.",
    ),
    timeout: Span.default("1h").describe("A run that takes longer is ended and has failed."),
  })
  .refine(
    ({ on_calendar, every }) => (on_calendar === undefined) !== (every === undefined),
    "a timer has either on_calendar or every",
  )
  .refine(
    ({ command, exec }) => (command === undefined) !== (exec === undefined),
    "a timer has either command or exec",
  )
  .refine(({ exec }) => exec === undefined || exec[0]?.startsWith("/") === true, {
    message: "begins with the path of a program such as /usr/bin/restic",
    path: ["exec"],
  })
  .describe("A command that systemd runs again and again. The name becomes NAME.timer and NAME.service.");
export type Timer = z.infer<typeof Timer>;
