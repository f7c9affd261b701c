/** RPC `plan`: what would be done for this content, computed against what is there now. Changes nothing. */
import { z } from "zod";
import { ManifestContent } from "../manifest.ts";
import { ResourceRef, Sha256 } from "../names.ts";
import { Plan } from "../plan.ts";
import { method } from "./method.ts";

export const plan = method({
  what: "What would be done for this content, against what is there now. Changes nothing.",
  authority: "operator",
  for_ci: true,
  audited: "sums",
  timeout_ms: 20_000,
  request: z
    .strictObject({
      content: ManifestContent.optional().describe("What the host should become."),
      content_hash: Sha256.optional().describe(
        "Instead of it, where the newest manifest that the host has accepted holds it: its hash. NOT_FOUND when that holds another.",
      ),
      overwrite: z.array(ResourceRef).max(256).describe("Hand edits that may be overwritten."),
    })
    .refine(
      ({ content, content_hash }) => (content === undefined) !== (content_hash === undefined),
      "must have either content or content_hash",
    ),
  reply: Plan,
});
