/** RPC `plan`: what would be done for this content, computed against what is there now. Changes nothing. */
import { z } from "zod";
import { ManifestContent } from "../manifest.ts";
import { ResourceRef } from "../names.ts";
import { Plan } from "../plan.ts";
import { method } from "./method.ts";

export const plan = method({
  what: "What would be done for this content, against what is there now. Changes nothing.",
  authority: "operator",
  for_ci: true,
  audited: "sums",
  timeout_ms: 20_000,
  request: z.strictObject({
    content: ManifestContent.describe("What the host should become."),
    overwrite: z.array(ResourceRef).max(256).describe("Hand edits that may be overwritten."),
  }),
  reply: Plan,
});
