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

/** A file beside bird.conf; names of Muster's own and of versions are not to be had. */
const FILE_NAME = /^(?!(?:bird|muster)(?:\.\d+)?\.conf$)[A-Za-z0-9_][\w.-]{0,58}\.conf$/;
const FILES_LIMIT = 100;

/** What stands for each file, by its name beside bird.conf. */
export const birdFiles = <T extends z.ZodType>(of: T) =>
  z
    .record(z.string(), of)
    .refine(
      (files) => Object.keys(files).every((name) => FILE_NAME.test(name)),
      "must have names of files in /etc/bird that end in .conf, and neither bird.conf nor muster.conf",
    )
    .refine((files) => Object.keys(files).length <= FILES_LIMIT, `must be at most ${FILES_LIMIT}`);

export const Bird = z
  .strictObject({
    config: z
      .string()
      .max(768 * 1024)
      .describe("The text of /etc/bird/bird.conf. In the folder, the name of a template."),
    files: birdFiles(z.string().max(768 * 1024))
      .optional()
      .describe(
        "Files in /etc/bird that bird.conf includes by their names: checked, loaded, kept and taken back as one with it. In the folder, each the name of a template.",
      ),
    expect: z
      .record(z.string().max(64), Expectation)
      .default({})
      .describe("What is known of a session beyond that it should be up."),
  })
  .describe(
    "The whole configuration of the routing daemon: checked by the host's own BIRD, loaded under a timer, kept when the sessions that were up are up after it. Every `protocol bgp` in it is expected up.",
  );
export type Bird = z.infer<typeof Bird>;
