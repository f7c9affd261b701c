/** An alert as the controllers keep and tell it, the silences that people gave, and how the routes stand. */
import { z } from "zod";
import { About, Severity } from "./alerting.ts";
import { HostName, Instant, PersonName } from "./names.ts";

/** Whom an alert is about: a host, or `_` for the fleet. */
export const FLEET_WIDE = "_";

const NEXT_MAX = 500;

export const Alert = z.object({
  host: z.string().max(63).describe("Whom it is about; `_` = the fleet."),
  about: About.describe("What it is about, the same for as long as it lasts: session/upstream."),
  rule: z.string().max(32).describe("The rule that made it."),
  severity: Severity,
  state: z
    .enum(["firing", "resolved"])
    .describe("resolved: over, and not everybody who was told of it has been told so."),
  since: Instant.describe("Since when it is so, as was seen."),
  fired_at: Instant.describe("Since when it is an alert."),
  resolved_at: Instant.nullable().describe("Since when it is over; null while it fires."),
  what: z.string().max(1_000).describe("What is wrong, as `ctl status` says it."),
  next: z.string().max(NEXT_MAX).describe("The next command to type."),
  told: z
    .record(
      z.string(),
      z.object({ at: Instant, state: z.enum(["firing", "resolved"]).describe("What was told.") }),
    )
    .describe("By route, what it was told last."),
});
export type Alert = z.infer<typeof Alert>;

/** What a silence of a person is: of hosts, or of everything about `about` on them. */
export const Silence = z.object({
  id: z
    .string()
    .regex(/^[0-9a-f]{8}$/)
    .describe("By which it is ended."),
  selector: z.string().max(500).describe("As it was typed."),
  hosts: z.array(z.string().max(63)).max(20_000).describe("Those that it named then; `_` = the fleet."),
  about: z.array(z.string().max(300)).max(64).describe("Patterns of what is silenced; `*` = everything."),
  by: PersonName,
  why: z.string().max(500).describe("In the person's words."),
  at: Instant.describe("Since when."),
  until: Instant.describe("When it ends by itself."),
});
export type Silence = z.infer<typeof Silence>;

/** A silence as it is told: of many hosts some, first those that were asked about. */
export const SilenceView = Silence.extend({
  hosts_left_out: z.int().optional().describe("So many more hosts it names; absent = none."),
});
export type SilenceView = z.infer<typeof SilenceView>;

export const RouteStanding = z.object({
  name: z.string().max(32).describe("Name of the route; `heartbeat` = the dead man's."),
  to: z.string().max(32).describe("Of which kind."),
  ok_at: Instant.nullable().describe("When something last got through; null = never."),
  failing_since: Instant.nullable().describe("Null while it works."),
  error: z.string().max(500).describe("The last error; empty while it works."),
  waiting: z.int().describe("Messages that wait for it."),
});
export type RouteStanding = z.infer<typeof RouteStanding>;

/** A condition of a rule of which it is not known whether it fits: there the rule neither begins an alert nor ends one. */
export const NotKnown = z.object({
  rule: z.string().max(32).describe("Its name."),
  when: z.string().max(1_000).describe("The condition: `ctl query` says of whom it is not known."),
  hosts: z.array(z.string().max(63)).max(8).describe("Some of those of whom it is not known."),
  count: z.int().describe("How many there are."),
});
export type NotKnown = z.infer<typeof NotKnown>;

/** The command that says of whom a condition is true, as a shell takes it; of one that is too long for `next` the list of alerts, since what is cut cannot be typed. */
export function queryOf(when: string): string {
  const command = `ctl query '${when.replaceAll("'", "'\\''")}'`;
  return command.length <= NEXT_MAX ? command : "ctl alerts";
}

/** The short of it, for `ctl status`. */
export const AlertSummary = z.object({
  at: Instant.describe("When the leader last looked."),
  firing: z.int().describe("That fire and are not silenced."),
  silenced: z.int().describe("That fire and are silenced."),
  routes: z.array(RouteStanding).max(64).describe("How each route stands."),
  rules: z
    .object({
      version: z.int().describe("The newest that holds; 0 = none does."),
      by: z.string().describe("Who signed them."),
      error: z.string().max(500).describe("Why they cannot be used; empty when they are."),
    })
    .nullable()
    .describe("The rules of the folder; null = only those that Muster brings."),
  not_known: z
    .array(NotKnown)
    .max(20)
    .default([])
    .describe("Conditions of which nothing can be said now of hosts that do speak; of more only so many."),
});
export type AlertSummary = z.infer<typeof AlertSummary>;

/** An alert with why nobody is told of it now; null = somebody is. */
export const AlertView = Alert.extend({
  silenced: z.string().max(1_000).nullable().describe("Why nobody is told: a drain, a change, a person."),
});
export type AlertView = z.infer<typeof AlertView>;

export const SILENCE_LONGEST_MS = 30 * 86_400_000;
export const SilencedHost = z.union([HostName, z.literal(FLEET_WIDE)]);
