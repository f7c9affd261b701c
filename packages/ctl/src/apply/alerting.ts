/** The alert rules of the folder on their way to the controllers: what differs from those that hold, and the next version, signed. */
import { callController } from "@muster/ports/call";
import { ALERTING_SUBJECT, type Alerting, openAlerting } from "@muster/protocol/alerting";
import { canonicalize } from "@muster/protocol/canonical";
import { loadEnvelope, seal, storeEnvelope } from "@muster/protocol/envelope";
import { FleetError } from "@muster/protocol/errors";
import type { DeclaredAlerting } from "../inventory/alerts.ts";
import type { Colour } from "../output/colour.ts";
import type { Connection, Session } from "../session/session.ts";

export type AlertingChange = { readonly lines: readonly string[]; readonly next: Alerting };

/**
 * What would change; null when nothing would: the same hold already, or the folder says nothing of alerts.
 * Errors: as `callController`.
 */
export async function alertingChange(
  session: Session,
  connection: Connection,
  declared: DeclaredAlerting | null,
  colour: Colour,
): Promise<AlertingChange | null> {
  if (declared === null) return null;
  const { document } = await callController(connection, "rules", {});
  let held: Alerting | null = null;
  const lines: string[] = [];
  if (document !== null) {
    try {
      held = openAlerting(loadEnvelope(document), session.verifier).alerting;
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      lines.push(
        `${colour.red("alerts")}  what the controllers hold is not signed as it must be: ${error.message}`,
      );
    }
  }
  const before: DeclaredAlerting = held ?? { rules: [], routes: {}, heartbeat: null };
  const changes = [
    ...differing("route", Object.entries(before.routes), Object.entries(declared.routes)),
    ...differing("rule", named(before.rules), named(declared.rules)),
    ...(canonicalize(before.heartbeat) === canonicalize(declared.heartbeat) ? [] : ["~ heartbeat"]),
  ];
  const order = (rules: DeclaredAlerting["rules"]) => rules.map(({ name }) => name).join();
  if (changes.length === 0 && order(before.rules) !== order(declared.rules))
    changes.push("~ order of the rules");
  if (changes.length === 0 && held !== null) return null;
  if (changes.length === 0 && lines.length === 0) return null;
  const next: Alerting = { v: 1, fleet: session.fleet, version: (held?.version ?? 0) + 1, ...declared };
  return { lines: [...lines, ...changes.map((change) => `${colour.bold("alerts")} ${change}`)], next };
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
