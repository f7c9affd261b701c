/** What an apply asks controllers about the hosts that the folder declares, and tells them. */
import { z } from "zod";
import { DECLARED_LIMIT } from "../declared.ts";
import { StoredEnvelope } from "../envelope.ts";
import { HostName } from "../names.ts";
import { method } from "../rpc/method.ts";

/** So many names of missing hosts go beside the document. */
export const MISSING_NAMED = 1_000;

export const declared = method({
  what: "The declared hosts that hold, as they were signed, and which of them and of those asked for no machine ever joined as.",
  authority: "operator",
  for_ci: true,
  timeout_ms: 5_000,
  audited: "sums",
  request: z.strictObject({ hosts: z.array(HostName).max(DECLARED_LIMIT).describe("Those of the folder.") }),
  reply: z.object({
    document: StoredEnvelope.nullable().describe("Null = none yet."),
    missing: z.array(HostName).max(MISSING_NAMED).describe("The first so many, ordered by name."),
  }),
});

export const declare = method({
  what: "Hands over which hosts the folder declares, signed. CONFLICT when others were faster.",
  authority: "operator",
  for_ci: true,
  timeout_ms: 5_000,
  request: z.strictObject({ document: StoredEnvelope.describe("The next version, signed.") }),
  reply: z.object({ version: z.int().describe("That holds now.") }),
});
