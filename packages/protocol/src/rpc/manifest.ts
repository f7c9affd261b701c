/** RPC `manifest`: the newest manifest that the host has accepted, as it was signed. What a broker has lost its hosts still have. */
import { z } from "zod";
import { StoredEnvelope } from "../envelope.ts";
import { method } from "./method.ts";

export const manifest = method({
  what: "The newest manifest that the host has accepted, as it was signed.",
  authority: "operator",
  for_ci: true,
  timeout_ms: 5_000,
  request: z.strictObject({}),
  reply: z.object({
    envelope: StoredEnvelope.nullable().describe(
      "To be proved by whoever asks; null while the host is only watched.",
    ),
  }),
});
