/** RPC `prune`: what is kept on the host although it is no longer declared, volumes and packages, and removing it on a person's word. */
import { z } from "zod";
import { ErrorReply } from "../errors.ts";
import { ResourceRef } from "../names.ts";
import { method } from "./method.ts";

export const prune = method({
  what: "Tell what is kept though no longer declared (volumes, packages), and remove of it what is named.",
  authority: "operator",
  // apt may have to wait for another run of itself.
  timeout_ms: 300_000,
  request: z.strictObject({
    refs: z.array(ResourceRef).max(256).describe("What is to go for good; empty = only tell."),
  }),
  reply: z.object({
    kept: z
      .array(
        z.object({
          ref: ResourceRef,
          what: z.string().max(500).describe("What it is, or why it stays in any case."),
          removable: z.boolean().describe("Whether it can be removed so."),
        }),
      )
      .max(5_000)
      .describe("All that is kept, before anything was removed."),
    removed: z.array(ResourceRef).describe("What is gone now."),
    failed: z
      .array(z.object({ ref: ResourceRef, error: ErrorReply.describe("Why it is still there.") }))
      .describe("What could not be removed."),
  }),
});
