/** RPC `plan`: what would be done for this content, computed against what is there now. Changes nothing. */
import { z } from "zod";
import { ManifestContent } from "../manifest.ts";
import { ResourceRef } from "../names.ts";
import { Plan } from "../plan.ts";
import { method } from "./method.ts";

export const plan = method({
  authority: "operator",
  for_ci: true,
  timeout_ms: 20_000,
  request: z.strictObject({ content: ManifestContent, overwrite: z.array(ResourceRef).max(256) }),
  reply: Plan,
});
