/**
 * What becomes an alert, who is told, and what the monitoring around is given: the fleet folder's alerts.yml and monitoring.yml as an operator signs them for the controllers.
 * It reaches them on `ctl.set_rules` and lies in bucket `alerts` as it was signed; whoever reads it there checks the signature again, so that nobody but an operator decides
 * who hears what.
 */
import { z } from "zod";
import type { Principal } from "./certificate.ts";
import { conditionFault } from "./condition.ts";
import { type Envelope, open, type Verifier } from "./envelope.ts";
import { FleetError, parse, parseJson } from "./errors.ts";
import { Loki, Monitoring, Otlp } from "./monitoring.ts";
import { FleetName, HostName } from "./names.ts";
import { AlertSecret, OutsideUrl, ServerCa, UrlOrSecret } from "./outside.ts";

export { AlertSecret };

/** What the document is signed as: nothing travels on it. */
export const ALERTING_SUBJECT = "alerting";

export const SEVERITIES = ["page", "ticket"] as const;
export const Severity = z
  .enum(SEVERITIES)
  .describe("page: somebody should look now. ticket: somebody should look by day.");
export type Severity = z.infer<typeof Severity>;

/** What an alert is about, such as `session/upstream`; in rules and silences `*` stands for anything. */
export const About = z.string().min(1).max(600);
const AboutPattern = z
  .string()
  .regex(/^[^\p{Cc}]{1,300}$/u, "must be like session/* or silent")
  .describe("What it is about: session/upstream, session/*, silent, disk/*; * stands for anything.");

const Name = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,31}$/, "must begin with a-z and hold a-z, 0-9 and -")
  .describe("What it is called.");
const WEEK_MS = 7 * 86_400_000;

export const AlertRule = z.strictObject({
  name: Name,
  about: z
    .array(AboutPattern)
    .min(1)
    .max(64)
    .describe("What it is for: session/*, silent, disk/*; * stands for anything."),
  when: z
    .string()
    .max(1_000)
    .superRefine((text, context) => {
      const fault = conditionFault(text);
      if (fault !== null) context.addIssue({ code: "custom", message: fault });
    })
    .optional()
    .describe("An expression of `ctl query` over what a host told last and before; it is about metric/NAME."),
  tint: z.enum(["red", "amber"]).optional().describe("Only of this colour in `ctl status`."),
  hosts: z.array(HostName).max(20_000).nullable().describe("Only these hosts; null = all."),
  severity: z.union([Severity, z.literal("none")]).describe("none: no alert."),
  for_ms: z.int().min(0).max(WEEK_MS).describe("How long it has to last."),
  rise: z.int().min(1).max(100).describe("In so many looks one after the other it has to be there."),
  fall: z.int().min(1).max(100).describe("In so many looks one after the other it has to be gone."),
});
export type AlertRule = z.infer<typeof AlertRule>;

const Common = {
  severity: Severity.describe("page: pages only; ticket: both."),
  hosts: z.array(HostName).max(20_000).nullable().describe("Only of these hosts and the fleet; null = all."),
  wait_ms: z.int().min(0).max(3_600_000).describe("So long more is waited for, to go in one message."),
  repeat_ms: z.int().min(60_000).max(WEEK_MS).describe("What still fires is told again after this."),
  ca: ServerCa,
};

export const AlertRoute = z.discriminatedUnion("to", [
  z.strictObject({
    to: z.literal("webhook").describe("JSON by HTTP POST."),
    ...Common,
    url: UrlOrSecret,
    token: AlertSecret.optional().describe("Goes along as `Authorization: Bearer`."),
  }),
  z.strictObject({
    to: z.literal("email").describe("A mail by SMTP."),
    ...Common,
    server: z
      .string()
      .max(270)
      .regex(/^(?:\[[0-9a-fA-F:.]+\]|[^:[\]\s]+):\d{1,5}$/, "must be host:port")
      .describe("The mail server, host:port."),
    tls: z
      .enum(["starttls", "tls", "none"])
      .describe("starttls: on 587 and 25; tls: on 465; none: no secret goes then."),
    from: z.email().max(320).describe("The sender's address."),
    recipients: z.array(z.email().max(320)).min(1).max(50).describe("Their addresses."),
    user: z.string().max(320).optional().describe("To log in with."),
    password: AlertSecret.optional().describe("To log in with."),
  }),
  z.strictObject({
    to: z.literal("matrix").describe("A message in a Matrix room."),
    ...Common,
    homeserver: OutsideUrl.describe("The client-server API: https://matrix.example.org."),
    room: z
      .string()
      .max(255)
      .regex(/^![^\s]+$/, "must be a room's id: !abc:example.org")
      .describe("The room's id, which begins with !."),
    token: AlertSecret.describe("The access token of the account that writes."),
  }),
  z.strictObject({
    to: z.literal("alertmanager").describe("An existing Alertmanager, by its API v2."),
    ...Common,
    url: UrlOrSecret,
    token: AlertSecret.optional().describe("Goes along as `Authorization: Bearer`."),
  }),
]);
export type AlertRoute = z.infer<typeof AlertRoute>;

export const Heartbeat = z.strictObject({
  url: UrlOrSecret,
  method: z.enum(["GET", "POST"]).describe("How it is asked."),
  every_ms: z.int().min(10_000).max(3_600_000).describe("How often, while all is well with the watching."),
  ca: ServerCa,
});
export type Heartbeat = z.infer<typeof Heartbeat>;

export const Alerting = z.strictObject({
  v: z.literal(1),
  fleet: FleetName,
  version: z.int().min(1).describe("Goes up by one with each."),
  rules: z
    .array(AlertRule)
    .max(200)
    .describe("The first that fits counts; those that Muster brings come after."),
  routes: z.record(Name, AlertRoute).describe("Who is told."),
  heartbeat: Heartbeat.nullable().describe("Who hears that the watching goes on; null = nobody."),
  monitoring: Monitoring.optional().describe("What the monitoring around is given; absent = nothing."),
});
export type Alerting = z.infer<typeof Alerting>;

/** The most bytes of the document: it goes in one message. */
export const ALERTING_BYTES = 512 * 1024;
export const ROUTES_LIMIT = 32;

const rule = (
  name: string,
  about: string[],
  severity: Severity,
  for_ms: number,
  tint?: "red" | "amber",
): AlertRule => ({
  ...{ name, about, hosts: null, severity, for_ms, rise: 1, fall: 5 },
  ...(tint === undefined ? {} : { tint }),
});

/** What counts where alerts.yml says nothing else: all that is red, and of what is amber that which somebody has to mend. */
export const SHIPPED_RULES: readonly AlertRule[] = [
  // Who is red for silence may be slow; nobody is woken for that.
  rule("silent", ["silent"], "page", 10_000, "red"),
  // What was undone does not pass by itself.
  rule("undone", ["change", "quarantine", "broker"], "page", 0, "red"),
  // A machine that was never there is no reason to wake anybody.
  rule("missing", ["joined"], "ticket", 0, "red"),
  rule("ends", ["certificate/*", "backup"], "ticket", 60_000, "red"),
  // After a broker was away hosts say first that they are there, and then the rest.
  rule("blind", ["blind/*"], "page", 30_000, "red"),
  rule("red", ["*"], "page", 15_000, "red"),
  rule("disk", ["disk/*"], "page", 60_000),
  rule("clock", ["clock"], "ticket", 60_000),
  rule("unit", ["unit/*"], "ticket", 120_000),
  rule("drift", ["drift/*"], "ticket", 300_000),
  rule("routing", ["routing/*"], "ticket", 60_000),
];

const LETTERS = /[.+?^${}()|[\]\\]/g;

/** Whether a text fits one of the patterns, in which `*` stands for anything. */
export function isAbout(patterns: readonly string[], text: string): boolean {
  return patterns.some(
    (pattern) =>
      pattern === text ||
      pattern === "*" ||
      (pattern.includes("*") &&
        new RegExp(`^${pattern.replace(LETTERS, "\\$&").replaceAll(/\*+/g, ".*")}$`, "su").test(text)),
  );
}

export type OpenedAlerting = { readonly alerting: Alerting; readonly principal: Principal };

/** Opens a signed document as of the time at which it was signed. Errors: as `open`, INVALID. */
export function openAlerting(envelope: Envelope, verifier: Verifier): OpenedAlerting {
  const opened = open(ALERTING_SUBJECT, envelope, verifier, "operator", { signs_release: true });
  const alerting = parseJson(Alerting, envelope.body, "alert rules");
  return { alerting, principal: opened.principal };
}

/**
 * As `openAlerting`, for whoever goes by what is stored: what cannot be read of it, such as a rule of a later version or an address of a form that was taken
 * before, is named in `faults` and left out, and all else holds. `whole`: the rules, routes and heartbeat are all there.
 */
export function openStoredAlerting(
  envelope: Envelope,
  verifier: Verifier,
): OpenedAlerting & { readonly faults: readonly string[]; readonly whole: boolean } {
  const { principal } = open(ALERTING_SUBJECT, envelope, verifier, "operator", { signs_release: true });
  const stored = parseJson(StoredAlerting, envelope.body, "alert rules");
  const faults: string[] = [];
  const readable = (schema: z.ZodType, value: unknown, what: string): boolean => {
    try {
      parse(schema, value, what);
      return true;
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      faults.push(error.detail);
      return false;
    }
  };
  const { routes, heartbeat, monitoring } = stored;
  const rules = stored.rules.filter((rule, at) =>
    readable(AlertRule, rule, `rule ${(rule as { name?: unknown } | null)?.name ?? at + 1}`),
  );
  const alerts = {
    rules,
    routes: only(routes, ([name, route]) => readable(AlertRoute, route, `route ${name}`)),
    heartbeat: heartbeat === null || readable(Heartbeat, heartbeat, "heartbeat") ? heartbeat : null,
  };
  const whole = faults.length === 0;
  const pushed =
    monitoring === undefined
      ? {}
      : {
          monitoring: only(monitoring, ([name, value]) => {
            const schema = PUSHED[name];
            return schema === undefined || value === undefined || readable(schema, value, name);
          }),
        };
  return {
    alerting: parse(Alerting, { ...stored, ...alerts, ...pushed }, "alert rules"),
    ...{ principal, faults, whole },
  };
}

const PUSHED: Readonly<Record<string, z.ZodType>> = { loki: Loki, otlp: Otlp };

const StoredAlerting = z.looseObject({
  rules: z.array(z.unknown()).max(200),
  routes: z.record(z.string(), z.unknown()),
  heartbeat: z.unknown(),
  monitoring: z.record(z.string(), z.unknown()).optional(),
});

const only = (
  all: Readonly<Record<string, unknown>>,
  fits: (entry: [string, unknown]) => boolean,
): Record<string, unknown> => Object.fromEntries(Object.entries(all).filter(fits));
