/** RPC `health`: a sample taken now. */
import { z } from "zod";
import { Health } from "../telemetry/health.ts";
import { method } from "./method.ts";

export const health = method({
  what: "How the server is, sampled now.",
  authority: "viewer",
  timeout_ms: 10_000,
  request: z.strictObject({}),
  reply: Health,
});
