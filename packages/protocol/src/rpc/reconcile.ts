/** RPC `reconcile`: look again now. Answers at once; what comes of it is told by telemetry. */
import { z } from "zod";
import { method } from "./method.ts";

export const reconcile = method({
  what: "Look again now. Answers at once; what comes of it is told by telemetry.",
  authority: "controller",
  timeout_ms: 5_000,
  request: z.strictObject({}),
  reply: z.object({
    generation: z.int().nullable().describe("The newest accepted; null while only watched."),
  }),
});
