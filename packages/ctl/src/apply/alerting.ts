/** Alert rules and monitoring of the folder on their way to the controllers: what differs from those that hold, and the next version, signed. */
import { callController } from "@muster/ports/call";
import { ALERTING_SUBJECT, type Alerting, openAlerting } from "@muster/protocol/alerting";
import { canonicalize } from "@muster/protocol/canonical";
import { loadEnvelope, seal, storeEnvelope } from "@muster/protocol/envelope";
import { FleetError } from "@muster/protocol/errors";
import { type Monitoring, NO_MONITORING } from "@muster/protocol/monitoring";
import type { DeclaredAlerting } from "../inventory/alerts.ts";
import type { Fleet } from "../inventory/fleet.ts";
import type { Colour } from "../output/colour.ts";
import type { Connection, Session } from "../session/session.ts";

const FROM_BEFORE: ReadonlySet<string> = new Set(["NOT_FOUND", "NO_RESPONDER", "BUS_DENIED"]);

export type AlertingChange = { readonly lines: readonly string[]; readonly next: Alerting };

/**
 * What would change; null when nothing would: the same hold already, or the folder says nothing of either. Without an alerts.yml the rules that hold stay.
 * Errors: as `callController`; INVALID when the folder has no alerts.yml and what would have to stay cannot be read.
 */
export async function alertingChange(
  session: Session,
  connection: Connection,
  { alerts, monitoring }: Pick<Fleet, "alerts" | "monitoring">,
  colour: Colour,
): Promise<AlertingChange | null> {
  const silent = alerts === null && canonicalize(monitoring) === canonicalize(NO_MONITORING);
  const { document } = await callController(connection, "rules", {}).catch((error: unknown) => {
    // Who says nothing of either wants nothing of controllers from before: they do not know the question, or have no bucket yet, or no right to it.
    if (silent && error instanceof FleetError && FROM_BEFORE.has(error.code)) return { document: null };
    throw error;
  });
  let held: Alerting | null = null;
  const lines: string[] = [];
  if (document !== null) {
    try {
      held = openAlerting(loadEnvelope(document), session.verifier).alerting;
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      if (alerts === null && !silent)
        throw new FleetError(
          "INVALID",
          `the alert rules that the controllers hold cannot be read, and without an alerts.yml they would have to stay: ${error.message}. Put an alerts.yml next to monitoring.yml`,
        );
      lines.push(
        `${colour.red("alerts")}  what the controllers hold is not signed as it must be: ${error.message}`,
      );
    }
  }
  if (silent && held === null) return null;
  const before = held ?? { rules: [], routes: {}, heartbeat: null };
  const declared: DeclaredAlerting = alerts ?? {
    ...{ rules: before.rules, routes: before.routes, heartbeat: before.heartbeat },
  };
  const changes = [
    ...differing("route", Object.entries(before.routes), Object.entries(declared.routes)),
    ...differing("rule", named(before.rules), named(declared.rules)),
    ...(canonicalize(before.heartbeat) === canonicalize(declared.heartbeat) ? [] : ["~ heartbeat"]),
  ];
  const order = (rules: DeclaredAlerting["rules"]) => rules.map(({ name }) => name).join();
  if (changes.length === 0 && order(before.rules) !== order(declared.rules))
    changes.push("~ order of the rules");
  const given = monitoringChanges(held?.monitoring ?? NO_MONITORING, monitoring);
  if (changes.length + given.length === 0 && (held !== null || lines.length === 0)) return null;
  const next: Alerting = {
    ...{ v: 1, fleet: session.fleet, version: (held?.version ?? 0) + 1, ...declared },
    // A document without it is one that controllers from before take, too.
    ...(canonicalize(monitoring) === canonicalize(NO_MONITORING) ? {} : { monitoring }),
  };
  const told = (what: string, all: readonly string[]) => all.map((each) => `${colour.bold(what)} ${each}`);
  return { lines: [...lines, ...told("alerts", changes), ...told("monitoring", given)], next };
}

function monitoringChanges(before: Monitoring, after: Monitoring): string[] {
  const jobs = ({ scrape, hosts }: Monitoring) => {
    const by_name = new Map<string, unknown[]>();
    for (const each of scrape) {
      const of = Object.keys(each.targets).map((host) => hosts[host]);
      by_name.set(each.job, [...(by_name.get(each.job) ?? []), each, of]);
    }
    return by_name;
  };
  const push = ({ loki, otlp }: Monitoring) =>
    Object.entries({ loki, otlp }).filter(([, value]) => value !== undefined);
  return [
    ...differing("scrape", jobs(before), jobs(after)),
    ...differing("push to", push(before), push(after)),
  ];
}

/** Signs and hands over. Errors: CONFLICT when somebody was faster, NOT_ALLOWED. */
export async function giveAlerting(
  session: Session,
  connection: Connection,
  { next }: AlertingChange,
  now_ms: number,
): Promise<number> {
  const signed = seal(ALERTING_SUBJECT, Buffer.from(JSON.stringify(next)), session.signer, now_ms);
  return (await callController(connection, "set_rules", { document: storeEnvelope(signed) })).version;
}

const named = (rules: DeclaredAlerting["rules"]) => rules.map((rule) => [rule.name, rule] as const);

function differing(
  what: string,
  before: Iterable<readonly [string, unknown]>,
  after: Iterable<readonly [string, unknown]>,
): string[] {
  const [old, wanted] = [new Map(before), new Map(after)];
  return [
    ...[...wanted].flatMap(([name, value]) => {
      if (!old.has(name)) return [`+ ${what} ${name}`];
      return canonicalize(old.get(name)) === canonicalize(value) ? [] : [`~ ${what} ${name}`];
    }),
    ...[...old.keys()].filter((name) => !wanted.has(name)).map((name) => `- ${what} ${name}`),
  ];
}
