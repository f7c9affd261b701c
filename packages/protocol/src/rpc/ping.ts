/** RPC `ping`: are you there? The only one that needs no authority. */
import { z } from "zod";
import { HostName, Instant } from "../names.ts";
import { method } from "./method.ts";

export const ping = method({
  what: "Are you there? The only one that needs no authority.",
  authority: "none",
  timeout_ms: 2_000,
  request: z.strictObject({}),
  reply: z.object({
    host: HostName,
    at: Instant,
    version: z.string().describe("Of the agent."),
    protocol: z.int().describe("Version of the protocol that it speaks."),
  }),
});
