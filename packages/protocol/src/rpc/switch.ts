/** RPC `switch`: throw a switch that the manifest declares. */
import { z } from "zod";
import { ResourceRef } from "../names.ts";
import { ThrownSwitch } from "../switch.ts";
import { method } from "./method.ts";

export const throwSwitch = method({
  authority: "operator",
  timeout_ms: 5_000,
  request: z.strictObject({
    name: z.enum(["drain", "hold"]),
    on: z.boolean(),
    resource: ResourceRef.optional(),
    why: z.string().max(500),
    for_ms: z.int().min(1_000).nullable(),
  }),
  reply: z.object({ thrown: z.array(ThrownSwitch) }),
});
