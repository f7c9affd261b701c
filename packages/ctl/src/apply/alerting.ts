/** Alert rules and monitoring of the folder on their way to the controllers: what differs from those that hold, and the next version, signed. */
import { callController } from "@muster/ports/call";
import { ALERTING_SUBJECT, type Alerting, openStoredAlerting } from "@muster/protocol/alerting";
import { canonicalize } from "@muster/protocol/canonical";
import { loadEnvelope, type StoredEnvelope, seal, storeEnvelope } from "@muster/protocol/envelope";
import { FleetError } from "@muster/protocol/errors";
import { type Monitoring, NO_MONITORING } from "@muster/protocol/monitoring";
import type { DeclaredAlerting } from "../inventory/alerts.ts";
import type { Fleet } from "../inventory/fleet.ts";
import type { Colour } from "../output/colour.ts";
import { isFromBefore } from "../session/older.ts";
import type { Connection, Session } from "../session/session.ts";

/** `next` null: there is only something to say. */
export type AlertingChange = { readonly lines: readonly string[]; readonly next: Alerting | null };

/**
 * What would change; null when nothing would and nothing is wrong with what holds: the same hold already, or the folder says nothing of either. Without an
 * alerts.yml the rules that hold stay. Errors: as `callController`; INVALID when the folder has no alerts.yml and what would have to stay cannot be read.
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
    if (silent && isFromBefore(error)) return { document: null };
    throw error;
  });
  const { held, fault, whole } = heldIn(document, session);
  const lines = fault === null ? [] : [`${colour.red("alerts")}  ${fault}`];
  if (silent && held === null) return fault === null ? null : { lines, next: null };
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
  const same = changes.length + given.length === 0;
  if (same && fault === null) return null;
  // With an alerts.yml what cannot be read goes, and nothing of it is missed.
  if (alerts === null && !whole) {
    if (same) return { lines, next: null };
    throw new FleetError(
      "INVALID",
      `the alert rules that the controllers hold cannot be read, and without an alerts.yml they would have to stay: ${fault}. Put an alerts.yml into the folder`,
    );
  }
  const next: Alerting = {
    ...{ v: 1, fleet: session.fleet, version: (held?.version ?? 0) + 1, ...declared },
    // A document without it is one that controllers from before take, too.
    ...(canonicalize(monitoring) === canonicalize(NO_MONITORING) ? {} : { monitoring }),
  };
  const told = (what: string, all: readonly string[]) => all.map((each) => `${colour.bold(what)} ${each}`);
  return { lines: [...lines, ...told("alerts", changes), ...told("monitoring", given)], next };
}

type Held = { readonly held: Alerting | null; readonly fault: string | null; readonly whole: boolean };

/** What the controllers hold as far as it can be read, what is wrong with it, and whether that leaves the rules, routes and heartbeat whole. */
function heldIn(document: StoredEnvelope | null, session: Session): Held {
  if (document === null) return { held: null, fault: null, whole: true };
  try {
    const { alerting, faults, whole } = openStoredAlerting(loadEnvelope(document), session.verifier);
    const words = `of what the controllers hold not all can be read: ${faults.join("; ")}`;
    return { held: alerting, fault: faults.length === 0 ? null : words, whole };
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    const fault = `what the controllers hold is not signed as it must be: ${error.message}`;
    return { held: null, fault, whole: false };
  }
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
  next: Alerting,
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
