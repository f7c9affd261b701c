/** RPC `checks`: every declared check as it stands. Nothing is asked anew: a turn is told at once anyway. */
import { z } from "zod";
import { ChecksSample } from "../telemetry/checks.ts";
import { method } from "./method.ts";

export const checks = method({
  what: "Every declared check as it stands.",
  authority: "viewer",
  timeout_ms: 5_000,
  request: z.strictObject({}),
  reply: ChecksSample,
});
