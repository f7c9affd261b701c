/**
 * A switch: what may be changed without a new manifest. The manifest declares it with who may throw it and for how long; a thrown one is a
 * signed command that the agent keeps beside the manifest and renders in fixed form, so that plan, drift and undo see it.
 */
import { z } from "zod";
import { Instant, ResourceRef } from "./names.ts";

export const SwitchDeclaration = z.strictObject({
  name: z.enum(["drain", "hold"]).describe("Which switch."),
  by: z.enum(["controller", "operator", "admin"]).describe("The least authority that may throw it."),
  longest_ms: z.int().min(0).describe("0 = without end."),
});
export type SwitchDeclaration = z.infer<typeof SwitchDeclaration>;

/** What every manifest of this version declares. */
export const DEFAULT_SWITCHES: SwitchDeclaration[] = [
  { name: "drain", by: "operator", longest_ms: 0 },
  { name: "hold", by: "operator", longest_ms: 30 * 86_400_000 },
];

export const ThrownSwitch = z.strictObject({
  name: z.enum(["drain", "hold"]).describe("Which switch."),
  on: z.boolean().describe("Thrown, or taken back."),
  resource: ResourceRef.optional().describe("For a hold of one resource; without it the whole host."),
  disable: z
    .literal(true)
    .optional()
    .describe(
      "For a drain: where bird.conf has no drain constant, sessions with other networks are disabled.",
    ),
  why: z.string().max(500).describe("The reason given."),
  by: z.string().max(64).describe("Who threw it."),
  at: Instant,
  until: Instant.nullable().describe("When it ends by itself; null = not."),
});
export type ThrownSwitch = z.infer<typeof ThrownSwitch>;
