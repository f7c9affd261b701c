/** alerts.yml of the fleet folder: who is told of what, as people write it and as it is signed for the controllers. Selectors become names here: controllers choose no hosts. */
import { type Alerting, AlertRoute, AlertRule, Heartbeat, ROUTES_LIMIT } from "@muster/protocol/alerting";
import { conditionFault } from "@muster/protocol/condition";
import { telemetryShapes } from "@muster/protocol/expression/shapes";
import { z } from "zod";
import { readDuration } from "../output/words.ts";
import type { Problems } from "./problem.ts";
import type { Selectable } from "./selectors.ts";
import { chosenHosts, readTopFile } from "./top-file.ts";
import type { YamlNode } from "./yaml.ts";

export const ALERTS_FILE = "alerts.yml";

/** What an operator signs of it; fleet and version come with the signature. */
export type DeclaredAlerting = Omit<Alerting, "v" | "fleet" | "version" | "monitoring">;

const Duration = z
  .string()
  .refine((text) => readDuration(text) !== undefined, "must be like 30s, 5m or 2h")
  .describe("As 30s, 5m, 2h.");
const On = z.string().max(500).describe("Only hosts of this selector; without it all.");

const common = {
  severity: AlertRoute.options[0].shape.severity.default("ticket"),
  on: On.optional(),
  wait: Duration.default("10s").describe("So long more is waited for, to go in one message."),
  repeat: Duration.default("4h").describe("What still fires is told again after this."),
};
const SIGNED = { severity: true, hosts: true, wait_ms: true, repeat_ms: true } as const;
const [Webhook, Email, Matrix, Alertmanager] = AlertRoute.options;
const RouteForm = z.discriminatedUnion("to", [
  Webhook.omit(SIGNED).extend(common),
  Email.omit(SIGNED).extend({ ...common, tls: Email.shape.tls.default("starttls") }),
  Matrix.omit(SIGNED).extend(common),
  Alertmanager.omit(SIGNED).extend(common),
]);

const RuleForm = AlertRule.omit({ hosts: true, for_ms: true }).extend({
  about: AlertRule.shape.about.optional(),
  severity: AlertRule.shape.severity.default("page"),
  on: On.optional(),
  for: Duration.default("0s").describe("How long it has to last."),
  rise: AlertRule.shape.rise.default(1),
  fall: AlertRule.shape.fall.default(5),
});

/** alerts.yml. */
export const AlertsFile = z.strictObject({
  routes: z.record(z.string(), RouteForm).default({}).describe("Who is told, by a name of yours."),
  rules: z
    .array(RuleForm)
    .max(100)
    .default([])
    .describe("The first that fits counts; those that Muster brings come after. One look is 2 s."),
  heartbeat: Heartbeat.omit({ every_ms: true })
    .extend({ method: Heartbeat.shape.method.default("GET"), every: Duration.default("1m") })
    .optional()
    .describe("An outside watcher that hears from the controllers for as long as all is well."),
});
type AlertsFile = z.output<typeof AlertsFile>;

/** Null where there is no file, or mistakes in it. `groups`: all of the inventory. */
export function readAlerts(
  tree: YamlNode | null,
  hosts: readonly Selectable[],
  groups: readonly string[],
  problems: Problems,
): DeclaredAlerting | null {
  if (tree === null) return null;
  const read = readTopFile(
    AlertsFile,
    ALERTS_FILE,
    tree,
    "routes: { noc: { to: webhook, url: https://… } }",
    problems,
  );
  if (read === null) return null;
  const { spec, at } = read;
  const before = problems.size;
  const chosen = (selector: string | undefined) =>
    chosenHosts(selector, "an alert", at, { hosts, groups }, problems);
  const declared = signedForm(spec, chosen);
  const shapes = spec.rules.some(({ when }) => when !== undefined) ? telemetryShapes() : {};
  for (const { name, when } of spec.rules) {
    const fault = when === undefined ? null : conditionFault(when, shapes);
    if (fault !== null) problems.add(at, `rule \`${name}\`: ${fault}`, "ctl docs telemetry");
  }
  for (const { name, about, when } of spec.rules)
    if ((about === undefined) === (when === undefined))
      problems.add(at, `rule \`${name}\` must have either \`about\` or \`when\``);
  if (Object.keys(spec.routes).length > ROUTES_LIMIT)
    problems.add(at, `alerts.yml has more than ${ROUTES_LIMIT} routes`);
  const right = z.object({ routes: z.record(z.string(), AlertRoute), heartbeat: Heartbeat.nullable() });
  for (const issue of right.safeParse(declared).error?.issues ?? [])
    problems.add(at, `alerts.yml: ${issue.path.join(".")} ${issue.message}`);
  for (const name of Object.keys(spec.routes))
    if (!/^[a-z][a-z0-9-]{0,31}$/.test(name) || name === "heartbeat")
      problems.add(at, `\`${name}\` cannot be a route's name`, "a-z, 0-9 and -, at most 32, not heartbeat");
  return problems.size > before ? null : declared;
}

function signedForm(
  { routes, rules, heartbeat }: AlertsFile,
  chosen: (selector: string | undefined) => string[] | null,
): DeclaredAlerting {
  const ms = (text: string) => readDuration(text) ?? 0;
  return {
    rules: rules.map(({ on, for: lasts, about, ...rule }) => ({
      ...rule,
      about: about ?? [`metric/${rule.name}`, `metric/${rule.name}/*`],
      ...{ hosts: chosen(on), for_ms: ms(lasts) },
    })),
    routes: Object.fromEntries(
      Object.entries(routes).map(([name, { on, wait, repeat, ...route }]) => [
        name,
        { ...route, hosts: chosen(on), wait_ms: ms(wait), repeat_ms: ms(repeat) } as AlertRoute,
      ]),
    ),
    heartbeat: heartbeat === undefined ? null : { ...withoutEvery(heartbeat), every_ms: ms(heartbeat.every) },
  };
}

const withoutEvery = ({ every: _every, ...rest }: NonNullable<AlertsFile["heartbeat"]>) => rest;
