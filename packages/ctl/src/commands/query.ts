/** `ctl query`: which hosts fit an expression over what they told last, and what was kept of before, in the language of selectors. */
import { FleetError } from "@muster/protocol/errors";
import {
  isOfValues,
  leafText,
  leaves,
  type Node,
  type Pair,
  parseSelector,
  SelectorFault,
  type Some,
} from "@muster/protocol/expression/parser";
import { telemetryShapes } from "@muster/protocol/expression/shapes";
import {
  elementsOf,
  type Found,
  type Known,
  nameOfElement,
  valuesOf,
  windowsOf,
  withoutChecks,
} from "@muster/protocol/expression/values";
import { TELEMETRY_KINDS, type TelemetryKind } from "@muster/protocol/telemetry/index";
import { needsOf, select } from "../inventory/selectors.ts";
import { sparkText } from "../output/spark.ts";
import type { Column } from "../output/table.ts";
import { listText } from "../output/words.ts";
import { defineCommand } from "../program/command.ts";
import type { Context } from "../program/context.ts";
import { type Choice, pick } from "../roster/facts.ts";
import { lastValues } from "../roster/last.ts";
import { pastOf } from "../roster/past.ts";
import { folderHere, glances, unlabelled } from "../roster/roster.ts";
import { openSession } from "../session/session.ts";

/** Things of a host that are shown of one comparison. */
const THINGS = 30;

/** What of a host fits, by the condition as it was typed. */
type Row = { readonly host: string; readonly found: Readonly<Record<string, readonly Found[]>> };

export const query = defineCommand({
  name: "query",
  args: "<expression>",
  example: `ctl query 'health.memory.available_bytes<500M'
ctl query 'ixp and bgp.sessions(expected=up and state!=established)'
ctl query 'health.memory.available_bytes/health.memory.total_bytes<5%'
ctl query 'rate(health.interfaces.rx_errors, 5m)>1'          a second, over five minutes
ctl query 'increase(containers.containers.restarts, 1h)>3'   also min, mean and max: ctl query 'max(checks.checks.latency_ms, 6h)>500'
ctl query 'convergence.agent_version<0.2' --json
ctl docs telemetry health        what there is to ask for`,
  async run(context, { args }) {
    const { output } = context;
    const expression = args[0] ?? "";
    const tree = treeOf(expression);
    const conditions = leaves(tree).filter(isOfValues);
    const not = context.global.not === undefined ? [] : [context.global.not];
    const needs = needsOf([expression, ...not]);
    const session = await openSession(context, { rank: "viewer" });
    const connection = await session.connect();
    const [folder, there, values] = await Promise.all([
      folderHere(context),
      glances(connection),
      lastValues(connection, kindsFor(needs.values), context.now()),
    ]);
    if ("silence" in there) throw there.silence;
    const declared = (await folder?.declared(needs.labels)) ?? { hosts: [], groups: [] };
    const strangers = [...there.hosts.values()]
      .filter(({ name }) => !declared.hosts.some((host) => host.name === name))
      .map(unlabelled);
    const groups = [
      ...new Set([...declared.groups, ...[...there.hosts.values()].flatMap(({ groups }) => groups)]),
    ];
    const shapes = telemetryShapes();
    const valuesFor = (host: string) => withoutChecks(values.get(host) ?? {});
    const hosts = [...declared.hosts, ...strangers].map((host) => ({
      ...host,
      values: valuesFor(host.name),
    }));
    const windows = windowsOf(tree);
    let past: Awaited<ReturnType<typeof pastOf>> = new Map();
    if (windows.length > 0) {
      // Of whom nothing else says that it does not fit.
      const might = select(hosts, groups, expression, not, shapes);
      const told = [...might.hosts, ...might.unknown].filter((name) => values.has(name));
      past = await pastOf(connection, told, windows, context.now());
    }
    const known = (host: string): Known => ({ values: valuesFor(host), past: past.get(host) });
    const choice: Choice = {
      ...{ groups, shapes },
      hosts: hosts.map((host) => ({ ...host, ...known(host.name) })),
      connection: async () => connection,
      ids: async () => new Map([...there.hosts].map(([name, { id }]) => [name, id])),
    };
    const picked = await pick(context, choice, expression);
    const enrolled = (name: string) => there.hosts.has(name);
    const rows = picked.names.filter(enrolled).map((host) => rowOf(host, conditions, known(host)));
    const unknown = picked.unknown.filter(enrolled);
    const not_enrolled = [...picked.names, ...picked.unknown].filter((name) => !enrolled(name));
    const [only, ...more] = conditions;
    if (rows.length > 0 && only?.t === "pair" && more.length === 0) thingsTable(output, rows, only);
    else if (rows.length > 0) output.table(rows, columnsOf(conditions));
    else if (needs.facts.length === 0) output.note(`no host fits ${expression}`);
    if (unknown.length > 0) {
      const why = windows.length > 0 ? "   silent, or not told for so long" : "";
      output.line(`${output.colour.red("NOT KNOWN NOW")}  ${listText(unknown)}${why}      ctl status`);
    }
    if (not_enrolled.length > 0)
      output.line(
        `${output.colour.amber("not enrolled")}  ${listText(not_enrolled)}      ctl join ${not_enrolled[0]}`,
      );
    output.json({
      hosts: Object.fromEntries(rows.map(({ host, found }) => [host, found])),
      unknown,
      not_enrolled,
    });
    if (unknown.length === 0) return 0;
    return unknown.length === there.hosts.size ? 5 : 4;
  },
});

/** Whether a host has checks at all says its convergence. */
const kindsFor = (named: readonly string[]): TelemetryKind[] => {
  const kinds = named.filter(isKind);
  return kinds.includes("checks") && !kinds.includes("convergence") ? [...kinds, "convergence"] : kinds;
};
const isKind = (kind: string): kind is TelemetryKind => (TELEMETRY_KINDS as readonly string[]).includes(kind);

/** Errors: USAGE with the column. */
function treeOf(expression: string): Node {
  try {
    return parseSelector(expression);
  } catch (error) {
    if (error instanceof SelectorFault) throw new FleetError("USAGE", error.message);
    throw error;
  }
}

function rowOf(host: string, conditions: readonly (Pair | Some)[], known: Known): Row {
  const found: Record<string, Found[]> = {};
  for (const condition of conditions) {
    const shown: Found[] =
      condition.t === "pair"
        ? valuesOf(condition, known)
        : (elementsOf(condition, known) ?? []).map((value) => ({ of: nameOfElement(value), value }));
    const title = leafText(condition);
    found[title] = [...(found[title] ?? []), ...shown];
  }
  return { host, found };
}

/** Of one comparison a line for each thing that fits, the largest first. */
function thingsTable(output: Context["output"], rows: readonly Row[], condition: Pair): void {
  const title = leafText(condition);
  const things = rows.flatMap(({ host, found }) => {
    const all = [...(found[title] ?? [])].sort((one, other) => sizeOf(other) - sizeOf(one));
    const left_out = all.length - THINGS;
    const shown = all.slice(0, THINGS).map((thing) => ({ host, ...thing }));
    return left_out > 0 ? [...shown, { host, of: `and ${left_out} more: --json`, value: "" }] : shown;
  });
  const named = things.some(({ of }) => of !== "");
  const drawn = things.some(({ points }) => points !== undefined && sparkText(points) !== "");
  output.table(things, [
    { title: "HOST", value: ({ host }) => host },
    ...(named ? [{ title: "OF", value: ({ of }: Found) => of }] : []),
    { title, value: (thing) => plainText(thing.value, condition), align: "right" },
    ...(drawn ? [{ title: "", value: ({ points }: Found) => sparkText(points ?? []) }] : []),
  ]);
}

const sizeOf = ({ value }: Found): number => (typeof value === "number" ? value : 0);

/** Bytes as people type them; other numbers with what of them matters. */
function plainText(value: unknown, { key, by }: Pair): string {
  if (typeof value === "object") return JSON.stringify(value);
  if (typeof value !== "number") return String(value);
  if (by === undefined && key.endsWith("_bytes")) return bytesText(value);
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)));
}

function bytesText(value: number): string {
  const step = ["T", "G", "M", "k"].findIndex((_, at) => Math.abs(value) >= 1_000 ** (4 - at));
  if (step < 0) return String(Number(value.toPrecision(3)));
  return `${Number((value / 1_000 ** (4 - step)).toPrecision(3))}${["T", "G", "M", "k"][step]}`;
}

function columnsOf(conditions: readonly (Pair | Some)[]): Column<Row>[] {
  const titles = [...new Set(conditions.map(leafText))];
  return [
    { title: "HOST", value: ({ host }) => host },
    ...titles.map(
      (title): Column<Row> => ({
        title,
        value: ({ found }) => listText([...new Set((found[title] ?? []).map(shownText))]) || "-",
      }),
    ),
  ];
}

/** What a thing in a list is called says more than all that stands in it. */
function shownText({ of, value, points }: Found): string {
  if (typeof value === "object") return of === "" ? JSON.stringify(value) : of;
  const exact = Number.isInteger(value) || typeof value !== "number";
  const number = exact ? String(value) : String(Number((value as number).toPrecision(4)));
  const line = points === undefined ? "" : ` ${sparkText(points)}`;
  return (of === "" || of === value ? number : `${of} ${number}`) + line;
}
