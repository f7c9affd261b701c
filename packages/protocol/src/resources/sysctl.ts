/** Kind `sysctl`: one kernel parameter, now and after a reboot (sysctl.d(5)). The name is the key with dots. */
import { z } from "zod";

export const Sysctl = z
  .strictObject({
    value: z
      .string()
      .max(1_024)
      .regex(/^[^\p{Cc}]+$/u, "must be one line")
      .describe("As sysctl prints it; several fields by one space."),
  })
  .describe("One kernel parameter, now and after a reboot. The name is the key with dots.");
export type Sysctl = z.infer<typeof Sysctl>;
