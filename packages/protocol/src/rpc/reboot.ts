/** RPC `reboot`: an orderly reboot of the machine. It answers before it goes down; `facts` says when it is another boot. */
import { z } from "zod";
import { method } from "./method.ts";

export const reboot = method({
  what: "Reboot the machine in an orderly way.",
  authority: "operator",
  timeout_ms: 10_000,
  told: ({ why }) => why,
  request: z.strictObject({ why: z.string().max(500).describe("The reason, for everybody to read.") }),
  reply: z.object({ boot: z.string().describe("Names the boot that ends, as `facts` does.") }),
});
