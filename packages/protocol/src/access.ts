/** What the controllers keep of each access to the bus that they gave to a person or a program, for as long as it lives: so that it can be found and ended. */
import { z } from "zod";
import { GroupName, HostId, Instant, PersonName, Sha256 } from "./names.ts";

/** The longest that a program's credential, or the authority of somebody invited, may live. */
export const LONGEST_ACCESS_MS = 366 * 86_400_000;

/** Kept in bucket `access` under its key, and gone when it has ended. */
export const AccessRecord = z.object({
  id: HostId.describe("Its key on the bus: a public nkey."),
  name: PersonName.describe("Whose it is."),
  kind: z
    .enum(["login", "invited", "program", "page"])
    .describe(
      "A log-in through Vault, one by an invitation, a program's credential (`ctl creds`), or a web page (`ctl dashboard`).",
    ),
  rank: z.enum(["viewer", "operator", "admin", "ci"]).describe("What its owner may, as it was given."),
  groups: z
    .array(GroupName)
    .nullable()
    .describe("Limited to the hosts of these groups; null = no such limit."),
  kit: z.boolean().optional().describe("It was given to the recovery kit."),
  certified_at: Instant.optional().describe(
    "Since when the certificate that it was given for is valid; absent = not known.",
  ),
  certificate: Sha256.nullable().describe("Of the certificate that it was given for; null = without one."),
  given_at: Instant,
  given_by: z.string().describe("Who asked for it."),
  ends: Instant.describe("When it ends by itself."),
  revoked: z
    .object({
      at: Instant,
      by: z.string().describe("Whose order it was."),
      why: z.string().max(500).describe("In the person's words."),
    })
    .nullable()
    .describe("Since when it is void; null = it holds."),
});
export type AccessRecord = z.infer<typeof AccessRecord>;
