/** RPC `ping`: are you there? The only one that needs no authority. */
import { z } from "zod";
import { Instant } from "../names.ts";
import { method } from "./method.ts";

export const ping = method({
  authority: "none",
  timeout_ms: 2_000,
  request: z.strictObject({}),
  reply: z.object({ host: z.string(), at: Instant, version: z.string(), protocol: z.int() }),
});
