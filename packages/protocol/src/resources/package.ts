/** Kind `package`: a Debian package, by apt. The name is the package's. It is kept when it is no longer declared: `state: absent` removes it. */
import { z } from "zod";

/** A version as Debian writes it: [epoch:]upstream[-revision] (deb-version(7)). */
const Version = z
  .string()
  .max(128)
  .regex(
    /^(\d+:)?[0-9][A-Za-z0-9.+~-]*$/,
    "must be a whole version such as 2.0.12-7, as apt-cache madison prints it",
  );

export const Package = z
  .strictObject({
    state: z.enum(["present", "absent"]).default("present").describe("Whether it is installed."),
    version: Version.optional().describe("Exactly this version; without it any that is installed will do."),
    hold: z
      .boolean()
      .optional()
      .describe("Whether apt leaves it at its version (apt-mark hold); without it, as it is on the host."),
  })
  .refine(
    ({ state, version, hold }) => state === "present" || (version === undefined && hold === undefined),
    "a package with state: absent has no version and no hold",
  )
  .describe(
    "A Debian package, by apt. The name is the package's. One that is no longer declared is kept; `state: absent` removes it.",
  );
export type Package = z.infer<typeof Package>;
