/** `ctl status`: every host's state, and a line with the next command for each thing that is wrong. */
import { callController, callMany } from "@muster/ports/call";
import type { AlertSummary } from "@muster/protocol/alert";
import type { BackupReport } from "@muster/protocol/backup";
import { FleetError } from "@muster/protocol/errors";
import { alertCounts, alertingTroubles } from "@muster/view/alerts";
import { drainsOf } from "@muster/view/drained";
import { fleetTroubles } from "@muster/view/fleet";
import {
  type Known,
  knownByItself,
  knownOf,
  knownOfBrief,
  knownOfMissing,
  notEnrolled,
  seenWith,
} from "@muster/view/known";
import { statusOf } from "@muster/view/status";
import { clockText } from "@muster/view/trouble";
import type { Host } from "../apply/signed.ts";
import { needsOf } from "../inventory/selectors.ts";
import { listText } from "../output/words.ts";
import { defineCommand } from "../program/command.ts";
import type { Context } from "../program/context.ts";
import { statusColumns, statusExit, statusJson, troubleLines } from "../report/status.ts";
import { pick } from "../roster/facts.ts";
import { folderHere, type Glance, glances, unlabelled, viewsOrSilence } from "../roster/roster.ts";
import { type Connection, openSession, type Session } from "../session/session.ts";

/** Reading what is signed costs a message a host. */
const SIGNED_LIMIT = 256;
/** So long the use of the recovery kit is told. */
const KIT_TOLD_MS = 7 * 86_400_000;

export const status = defineCommand({
  name: "status",
  args: "[selector]",
  example: `ctl status                 exit 0 when all is well, 1 when something is red, 5 when nobody answers
ctl status ixp             a group
ctl status --json          for scripts, with the end of every certificate`,
  async run(context, { args }) {
    const { output } = context;
    const session = await openSession(context, { rank: "viewer" });
    // Scripts get all there is to know of each host.
    const whole = output.form !== "table" && output.form !== "wide";
    const connection = await session.connect();
    const [found, kit] = await Promise.all([
      look(context, session, connection, args[0] ?? "all", whole),
      kitUsed(connection, context.now()),
    ]);
    const rows = found.hosts.map((known) => statusOf(known, found.now_ms));
    if (rows.length === 0) output.line("no hosts yet      ctl join NAME");
    else output.table(rows, statusColumns(found.now_ms, output.colour));
    for (const line of troubleLines(rows, output.colour)) output.line(line);
    if (found.controller !== null)
      output.line(
        `${output.colour.red("controller")}  ${found.controller}: asked the hosts themselves      on its server: systemctl status muster-controller`,
      );
    const fleet_wide = fleetTroubles(found, found.now_ms);
    for (const { name, tint, what, next } of fleet_wide)
      output.line(`${output.colour[tint](name)}  ${what}      ${next}`);
    const alerting = found.alerts == null ? [] : alertingTroubles(found.alerts, found.now_ms);
    for (const { tint, what, next } of alerting)
      output.line(`${output.colour[tint]("alerts")}  ${what}      ${next}`);
    const counts = found.alerts == null ? null : alertCounts(found.alerts);
    if (counts !== null) output.line(`alerts  ${counts}      ctl alerts`);
    if (kit !== null)
      output.line(
        `${output.colour.amber("kit")}  the recovery kit was used ${clockText(kit.at, found.now_ms)}: ${kit.what}      ctl events --kind kit; by nobody of you? docs/security.md`,
      );
    for (const note of found.notes) output.note(note);
    output.json({
      fleet: session.fleet,
      at: found.now_ms,
      controller: found.controller === null ? "answers" : "silent",
      broker_stalled_since: found.stalled_since,
      ...(found.backup === undefined ? {} : { backup: found.backup }),
      kit_used: kit,
      ...(found.alerts === undefined ? {} : { alerts: found.alerts }),
      hosts: rows.map(statusJson),
    });
    const exit = statusExit(rows);
    const wrong =
      found.controller !== null || alerting.length > 0 || fleet_wide.some(({ tint }) => tint === "red");
    return exit === 0 && wrong ? 1 : exit;
  },
});

/** The hosts that a selector names, as they stand. */
export type Found = {
  readonly hosts: readonly Known[];
  /** Whoever is drained, chosen or not: sessions with them are judged by it. */
  readonly drained: readonly Pick<Known, "name" | "convergence">[];
  readonly now_ms: number;
  /** Why no controller answered; null when one did. */
  readonly controller: string | null;
  /** Since when the broker stores nothing; null while it does, or nobody knows. */
  readonly stalled_since: number | null;
  readonly backup: BackupReport | null | undefined;
  /** null: no controller has looked yet; undefined: it cannot be known. */
  readonly alerts: AlertSummary | null | undefined;
  readonly notes: readonly string[];
};

export async function look(
  context: Context,
  session: Session,
  connection: Connection,
  selector: string,
  /** Their last samples whole; a table needs no more than briefs. */
  whole: boolean,
): Promise<Found> {
  const not = context.global.not === undefined ? [] : [context.global.not];
  const { labels } = needsOf([selector, ...not]);
  const [folder, known] = await Promise.all([folderHere(context), whoIsThere(connection, whole)]);
  // Without labels hosts.yml is enough: rendering a thousand hosts takes longer than all the rest.
  const declared = folder === null ? null : await folder.declared(labels);
  const notes: string[] = [];
  if ("silence" in known && declared === null) throw known.silence;

  const there: ReadonlyMap<string, Glance> = "silence" in known ? new Map() : known.hosts;
  const folder_hosts = declared?.hosts ?? [];
  const in_folder = new Set(folder_hosts.map(({ name }) => name));
  const strangers = [...there.values()].filter(({ name }) => !in_folder.has(name)).map(unlabelled);
  // Where there is no folder, what the last apply said of it.
  const missing = new Map(
    declared === null && !("silence" in known) ? known.missing.map((host) => [host.name, host]) : [],
  );
  const others_groups = [...there.values(), ...missing.values()].flatMap((host) => host.groups);
  const groups = [...new Set([...(declared?.groups ?? []), ...others_groups])];
  const all = [...folder_hosts, ...strangers, ...[...missing.values()].map(unlabelled)];
  const ids = new Map<string, string>([...there].map(([name, { id }]) => [name, id]));
  if ("silence" in known) for (const [name, id] of folder?.pins ?? []) ids.set(name, id);
  const choice = { hosts: all, groups, connection: async () => connection, ids: async () => ids };
  const picked = all.length === 0 ? { names: [], unknown: [] } : await pick(context, choice, selector);
  // A host that does not tell its facts may be the very one that is looked for.
  const names = [...picked.names, ...picked.unknown];
  if (picked.unknown.length > 0)
    notes.push(`shown because they do not tell their facts: ${listText(picked.unknown)}`);
  const groups_of = new Map(folder_hosts.map((host) => [host.name, host.groups]));

  const targets = names.flatMap((name) => {
    const id = ids.get(name);
    return id === undefined ? [] : [{ name, id }];
  });
  const [{ signed, unknown }, asked] = await Promise.all([
    signedGenerations(session, connection.bus, targets),
    "silence" in known
      ? callMany(
          connection,
          targets.map(({ id }) => id),
          "status",
          {},
          { signal: context.signal },
        )
      : null,
  ]);
  const now_ms = "silence" in known ? context.now() : known.now;
  const hosts = names.map((name): Known => {
    const id = ids.get(name);
    const declared_groups = groups_of.get(name) ?? null;
    const glance = there.get(name);
    if (glance !== undefined)
      return "brief" in glance
        ? knownOfBrief(glance.brief, declared_groups, signed.get(name) ?? null)
        : knownOf(glance.view, declared_groups, signed.get(name) ?? null);
    if (id === undefined) {
      const never = missing.get(name);
      return never === undefined ? notEnrolled(name, declared_groups ?? []) : knownOfMissing(never);
    }
    const reply = asked?.answered.get(id) ?? null;
    const itself = knownByItself(
      { name, id, groups: declared_groups ?? [] },
      reply,
      now_ms,
      signed.get(name) ?? null,
    );
    return asked?.failed.has(id) ? { ...itself, silent: false, heard_at: now_ms } : itself;
  });
  if (unknown !== null) notes.push(`what is signed and not yet taken is not known here: ${unknown}`);
  const undeclared = declared === null ? [] : names.filter((name) => !in_folder.has(name));
  if (undeclared.length > 0) notes.push(`enrolled and not in the folder: ${listText(undeclared)}`);
  const silent = "silence" in known;
  const controller = silent ? "no controller answers" : null;
  // Whoever is not shown may be the far end of a session that is.
  const others = [...there.values()].flatMap((glance) =>
    "view" in glance ? [{ name: glance.name, convergence: glance.view.convergence }] : [],
  );
  const drained = [...others, ...hosts].filter(({ convergence }) => convergence?.drained != null);
  const drains = drainsOf(drained, now_ms);
  return {
    hosts: hosts.map((known) => seenWith(known, drains)),
    drained,
    now_ms,
    controller,
    stalled_since: silent ? null : known.stalled_since,
    backup: silent ? undefined : known.backup,
    alerts: silent ? undefined : known.alerts,
    notes,
  };
}

/** The last use of the recovery kit within a week; null = none, or no controller answers, which is said of the hosts as well. */
async function kitUsed(
  connection: Connection,
  now_ms: number,
): Promise<{ readonly at: number; readonly what: string } | null> {
  try {
    const request = { kind: "kit", since: now_ms - KIT_TOLD_MS, limit: 1 } as const;
    const { events } = await callController(connection, "events", request);
    const last = events.at(-1);
    if (last === undefined) return null;
    const where = last.host === "_" ? "" : ` on ${last.host}`;
    return { at: last.event.at, what: `${last.event.what}${where}` };
  } catch (error) {
    if (error instanceof FleetError) return null;
    throw error;
  }
}

async function whoIsThere(connection: Connection, whole: boolean) {
  if (!whole) return glances(connection);
  const known = await viewsOrSilence(connection);
  if ("silence" in known) return known;
  const hosts = new Map(
    [...known.views].map(([name, view]): [string, Glance] => [
      name,
      { name, id: view.record.id, groups: view.record.groups, view },
    ]),
  );
  const { missing, now, stalled_since, backup, alerts } = known;
  return { hosts, missing, now, stalled_since, backup, alerts };
}

/** By host, the newest generation signed for it, 0 for none; and why that is not known, of all or of those that it names. */
type Signed = { readonly signed: ReadonlyMap<string, number>; readonly unknown: string | null };

/** Not read for those who may not, and not in large fleets. A host may be behind unseen then, so it is always said why. */
export async function signedGenerations(
  session: Pick<Session, "rank" | "fleet" | "verifier">,
  bus: Pick<Connection["bus"], "directGet">,
  hosts: readonly Host[],
): Promise<Signed> {
  const none = (unknown: string | null): Signed => ({ signed: new Map(), unknown });
  if (hosts.length === 0) return none(null);
  if (session.rank === "viewer") return none("a viewer may not read it");
  if (hosts.length > SIGNED_LIMIT)
    return none(`read for ${SIGNED_LIMIT} hosts at most, these are ${hosts.length}: ctl status GROUP`);
  try {
    // What reads manifests knows every kind of resource: not loaded where none is read.
    const { storedLast } = await import("../apply/signed.ts");
    const signed = new Map<string, number>();
    const doubted: string[] = [];
    for (const [name, found] of await storedLast(bus, session.fleet, hosts, session.verifier)) {
      if (found instanceof FleetError) doubted.push(found.message);
      else signed.set(name, found?.manifest.generation ?? 0);
    }
    return { signed, unknown: doubted.length === 0 ? null : listText(doubted, 3) };
  } catch (error) {
    if (error instanceof FleetError) return none(error.message);
    throw error;
  }
}
