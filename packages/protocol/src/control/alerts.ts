/** What operators ask controllers about alerts: `alerts`, `silence`, `unsilence`, and the rules of the folder as they were signed. */
import { z } from "zod";
import { AlertSummary, AlertView, SILENCE_LONGEST_MS, Silence, SilencedHost, SilenceView } from "../alert.ts";
import { StoredEnvelope } from "../envelope.ts";
import { Instant } from "../names.ts";
import { method } from "../rpc/method.ts";

export const alerts = method({
  what: "What fires, who silenced what, and how the routes stand.",
  authority: "viewer",
  timeout_ms: 5_000,
  request: z.strictObject({
    hosts: z.array(SilencedHost).max(5_000).optional().describe("Only these; absent = all."),
  }),
  reply: z.object({
    alerts: z.array(AlertView).describe("Pages first, then the oldest first; as many as fit into a message."),
    left_out: z.int().describe("So many more there are."),
    silences: z
      .array(SilenceView)
      .describe(
        "Those in force, of the hosts that were asked about where there are any; the newest first, as many as fit.",
      ),
    silences_left_out: z.int().optional().describe("So many more there are; absent = none."),
    summary: AlertSummary.nullable().describe("Null = no controller has looked yet."),
    now: Instant.describe("The controller's clock."),
  }),
});

export const silence = method({
  what: "Lets nobody be told of these hosts' alerts for a while.",
  authority: "operator",
  timeout_ms: 5_000,
  told: ({ selector }) => selector,
  request: z.strictObject({
    selector: z.string().min(1).max(500).describe("As it was typed."),
    hosts: z.array(SilencedHost).min(1).max(20_000).describe("The hosts that it names."),
    about: z.array(z.string().min(1).max(300)).min(1).max(64).describe("What of them: session/*; * = all."),
    why: z.string().min(1).max(500).describe("In the person's words."),
    for_ms: z.int().min(60_000).max(SILENCE_LONGEST_MS).describe("How long."),
  }),
  reply: z.object({ silence: Silence.describe("As it holds.") }),
});

export const unsilence = method({
  what: "Ends a silence before its time.",
  authority: "operator",
  timeout_ms: 5_000,
  told: ({ id }) => id,
  request: z.strictObject({ id: z.string().max(8).describe("Of the silence.") }),
  reply: z.object({ ended: z.boolean().describe("False: there was none.") }),
});

export const rules = method({
  what: "The alert rules that hold, as they were signed.",
  authority: "operator",
  for_ci: true,
  timeout_ms: 5_000,
  audited: "sums",
  request: z.strictObject({}),
  reply: z.object({ document: StoredEnvelope.nullable().describe("Null = none yet.") }),
});

export const set_rules = method({
  what: "Hands over alert rules and routes, signed. CONFLICT when others were faster.",
  authority: "operator",
  for_ci: true,
  timeout_ms: 5_000,
  request: z.strictObject({ document: StoredEnvelope.describe("The next version, signed.") }),
  reply: z.object({ version: z.int().describe("That holds now.") }),
});
