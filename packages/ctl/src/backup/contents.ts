/** What a backup says of itself inside of its seal; beside it lie `vault.snap` and `streams/<NAME>`. */
import { FleetName, Instant } from "@muster/protocol/names";
import { z } from "zod";
import { MadeFleet } from "../fleet/state.ts";
import { StreamForms } from "./streams.ts";

export const Contents = z.strictObject({
  v: z.literal(1),
  fleet: FleetName,
  at: Instant,
  host: z.string().describe("The first server's own name."),
  unseal: z.enum(["auto", "manual"]),
  state: MadeFleet,
  streams: StreamForms,
});
export type Contents = z.infer<typeof Contents>;
