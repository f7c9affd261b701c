/** RPC `birdc`: what BIRD answers to a `show` command, over a connection that BIRD itself restricts to reading. */
import { z } from "zod";
import { method } from "./method.ts";

/** A longer answer is refused with the advice to narrow it. */
export const BIRDC_REPLY_BYTES = 400 * 1024;

export const birdc = method({
  what: "What BIRD answers to a `show` command, on a connection that can only read.",
  authority: "viewer",
  timeout_ms: 15_000,
  request: z.strictObject({
    command: z
      .string()
      .max(1_000)
      .regex(/^show [\x20-\x7e]+$/, "must be one line that begins with `show `")
      .describe("As typed into birdc: `show route for 2001:db8::1`."),
  }),
  reply: z.object({ lines: z.array(z.string()).describe("BIRD's answer, as birdc prints it.") }),
});
