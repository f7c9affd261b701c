/** RPC `switch`: throw a switch that the manifest declares. */
import { z } from "zod";
import { ResourceRef } from "../names.ts";
import { ThrownSwitch } from "../switch.ts";
import { method } from "./method.ts";

export const throwSwitch = method({
  what: "Throw a switch that the manifest declares, or take it back.",
  authority: "operator",
  timeout_ms: 5_000,
  told: ({ name, on, resource }) =>
    `${name} ${on ? "on" : "off"}${resource === undefined ? "" : ` ${resource}`}`,
  request: z.strictObject({
    name: z.enum(["drain", "hold"]).describe("Which switch."),
    on: z.boolean().describe("Throw it, or take it back."),
    resource: ResourceRef.optional().describe("For a hold of one resource; without it the whole host."),
    disable: z
      .literal(true)
      .optional()
      .describe("For a drain: where bird.conf has no drain constant, disable sessions with other networks."),
    why: z.string().max(500).describe("The reason, for everybody to read."),
    for_ms: z
      .int()
      .min(1_000)
      .nullable()
      .describe("When it ends by itself; null = as long as the manifest allows."),
  }),
  reply: z.object({ thrown: z.array(ThrownSwitch).describe("All that are thrown now.") }),
});
