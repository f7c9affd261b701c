/** `ctl.names`: which hosts there are, for whoever goes on to ask them. */
import { z } from "zod";
import { HostId, HostName } from "../names.ts";
import { method } from "../rpc/method.ts";

export const names = method({
  what: "Every enrolled host's name and id, paged by name.",
  authority: "viewer",
  for_ci: true,
  timeout_ms: 5_000,
  request: z.strictObject({
    after: HostName.nullable().describe("The last name of the page before; null for the first."),
    limit: z.int().min(1).max(4_000).describe("The most hosts on a page."),
  }),
  reply: z.object({
    hosts: z.array(z.object({ name: HostName, id: HostId })).describe("Ordered by name."),
    next: HostName.nullable().describe("Give it as `after` for the next page; null = no more."),
  }),
});
