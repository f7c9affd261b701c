/** Kind `service`: a systemd unit, running or stopped, started at boot or not. The name is the unit's, `.service` left out. */
import { z } from "zod";

export const Service = z
  .strictObject({
    state: z.enum(["running", "stopped"]).default("running").describe("Whether it runs now."),
    enabled: z.boolean().default(true).describe("Whether it starts at boot."),
  })
  .describe(
    "A systemd unit, running or stopped, started at boot or not. The name is the unit's, `.service` left out.",
  );
export type Service = z.infer<typeof Service>;
