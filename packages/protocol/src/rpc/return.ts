/** RPC `return`: go back to the content that the manifest held names, if its release has not lapsed. The number does not fall. */
import { z } from "zod";
import { RandomId, Sha256 } from "../names.ts";
import { method } from "./method.ts";

export const returnTo = method({
  what: "Go back to the content that the release in force names.",
  authority: "controller",
  timeout_ms: 5_000,
  told: ({ release, content_hash }) => `rollout ${release} to content ${content_hash.slice(0, 12)}`,
  request: z.strictObject({
    release: RandomId.describe("The rollout that is taken back."),
    content_hash: Sha256,
  }),
  reply: z.object({
    generation: z.int().describe("It stays; only the content goes back."),
    content_hash: Sha256,
  }),
});
