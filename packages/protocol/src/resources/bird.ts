/**
 * Kind `bird`: the whole configuration of the routing daemon, checked by the host's own BIRD, loaded under its timer, kept only when the
 * sessions that were up are up after it. Every `protocol bgp` in it is expected up; `expect` says more, or less.
 */
import { z } from "zod";

const Prefix = z
  .string()
  .max(64)
  .regex(/^[0-9a-fA-F:.]+\/\d{1,3}$/, "must be a prefix such as 2001:db8::/32");
const Day = z.string().regex(/^\d{4}-\d{2}-\d{2}$/, "must be a day such as 2026-12-15");

export const Expectation = z.strictObject({
  import_min: z.int().min(0).optional().describe("Fewer imported routes than this are red."),
  export: z.array(Prefix).max(1_000).optional().describe("Prefixes that the session must export."),
  pending_until: Day.optional().describe(
    "Not ready on the other side: amber and gates nothing until the end of that day (UTC), red after.",
  ),
});
export type Expectation = z.infer<typeof Expectation>;

export const Bird = z
  .strictObject({
    config: z
      .string()
      .max(768 * 1024)
      .describe("The text of /etc/bird/bird.conf. In the folder, the name of a template."),
    expect: z
      .record(z.string().max(64), Expectation)
      .default({})
      .describe("What is known of a session beyond that it should be up."),
  })
  .describe(
    "The whole configuration of the routing daemon: checked by the host's own BIRD, loaded under a timer, kept when the sessions that were up are up after it. Every `protocol bgp` in it is expected up.",
  );
export type Bird = z.infer<typeof Bird>;
