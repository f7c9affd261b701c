/** RPC `rename`: the host takes another name. Its keys stay; a controller gives it credentials under that name, where an admin has had it written down. */
import { z } from "zod";
import { HostName } from "../names.ts";
import { method } from "./method.ts";

export const rename = method({
  what: "Take another name, which the controllers have on record: get credentials for it, and speak under it.",
  authority: "admin",
  timeout_ms: 30_000,
  told: ({ name }) => name,
  request: z.strictObject({ name: HostName }),
  reply: z.object({
    was: HostName.describe("The name until now."),
    changed: z.boolean().describe("False: it was called so before."),
  }),
});
