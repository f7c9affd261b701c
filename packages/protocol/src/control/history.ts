/** `ctl.history`: what is kept of one host's numbers over time, in pages. */
import { z } from "zod";
import { HISTORY_KINDS, Track } from "../history.ts";
import { HostName, Instant } from "../names.ts";
import { method } from "../rpc/method.ts";

export const history = method({
  what: "Numbers of one host over time, as they are kept, paged.",
  authority: "viewer",
  timeout_ms: 10_000,
  request: z.strictObject({
    host: HostName,
    kind: z.enum(HISTORY_KINDS).describe("Which track: a kind of telemetry, or a part of one."),
    since: Instant.describe("Not older than this, by the host's clock."),
    step_ms: z
      .int()
      .min(1_000)
      .max(86_400_000)
      .nullable()
      .describe("One point at most for each such step; null = all that are kept."),
    series: z
      .array(z.string().max(120))
      .min(1)
      .max(64)
      .nullable()
      .describe(
        "Only the values of these names, `NAME *` for those of every thing; null = all of the track.",
      ),
    after: z.int().min(0).describe("`next` of the page before; 0 for the first."),
  }),
  reply: z.object({
    track: Track.nullable().describe("Null: there is nothing on this page."),
    late: z
      .array(z.object({ from: Instant, to: Instant }))
      .max(1_000)
      .describe("Of these times the host told later, when there was a broker again."),
    next: z.int().nullable().describe("Give it as `after` for the next page; null = no more."),
  }),
});
