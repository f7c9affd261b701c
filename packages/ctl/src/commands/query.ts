/** `ctl query`: which hosts fit an expression over what they told last, in the language of selectors. */
import { FleetError } from "@muster/protocol/errors";
import { TELEMETRY, TELEMETRY_KINDS, type TelemetryKind } from "@muster/protocol/telemetry/index";
import { jsonSchemaOf } from "../docs/json-schema.ts";
import { shapeOf } from "../docs/shape.ts";
import {
  isOfValues,
  leaves,
  type Pair,
  parseSelector,
  SelectorFault,
  type Some,
} from "../inventory/selector-parser.ts";
import { needsOf } from "../inventory/selectors.ts";
import {
  elementsOf,
  kindOf,
  nameOfElement,
  type Shapes,
  type Values,
  valuesOf,
} from "../inventory/values.ts";
import type { Column } from "../output/table.ts";
import { listText } from "../output/words.ts";
import { defineCommand } from "../program/command.ts";
import { type Choice, pick } from "../roster/facts.ts";
import { lastValues } from "../roster/last.ts";
import { folderHere, glances, unlabelled } from "../roster/roster.ts";
import { openSession } from "../session/session.ts";

/** What of a host fits, by the condition as it was typed. */
type Row = { readonly host: string; readonly found: Readonly<Record<string, readonly Shown[]>> };
type Shown = { readonly of: string; readonly value: unknown };

export const query = defineCommand({
  name: "query",
  args: "<expression>",
  example: `ctl query 'health.memory.available_bytes<500M'
ctl query 'ixp and bgp.sessions(expected=up and state!=established)'
ctl query 'convergence.agent_version<0.2' --json
ctl docs telemetry health        what there is to ask for`,
  async run(context, { args }) {
    const { output } = context;
    const expression = args[0] ?? "";
    const conditions = conditionsOf(expression);
    const not = context.global.not === undefined ? [] : [context.global.not];
    const needs = needsOf([expression, ...not]);
    const session = await openSession(context, { rank: "viewer" });
    const connection = await session.connect();
    const [folder, there, values] = await Promise.all([
      folderHere(context),
      glances(connection),
      lastValues(connection, needs.values.filter(isKind), context.now()),
    ]);
    if ("silence" in there) throw there.silence;
    const declared = (await folder?.declared(needs.labels)) ?? { hosts: [], groups: [] };
    const strangers = [...there.hosts.values()]
      .filter(({ name }) => !declared.hosts.some((host) => host.name === name))
      .map(unlabelled);
    const choice: Choice = {
      hosts: [...declared.hosts, ...strangers].map((host) => ({
        ...host,
        values: values.get(host.name) ?? {},
      })),
      groups: [
        ...new Set([...declared.groups, ...[...there.hosts.values()].flatMap(({ groups }) => groups)]),
      ],
      connection: async () => connection,
      ids: async () => new Map([...there.hosts].map(([name, { id }]) => [name, id])),
      shapes: shapesOf(),
    };
    const picked = await pick(context, choice, expression);
    const enrolled = (name: string) => there.hosts.has(name);
    const rows = picked.names.filter(enrolled).map((host) => rowOf(host, conditions, values.get(host) ?? {}));
    const unknown = picked.unknown.filter(enrolled);
    const not_enrolled = [...picked.names, ...picked.unknown].filter((name) => !enrolled(name));
    if (rows.length > 0) output.table(rows, columnsOf(conditions));
    else if (needs.facts.length === 0) output.note(`no host fits ${expression}`);
    if (unknown.length > 0)
      output.line(`${output.colour.red("NOT KNOWN NOW")}  ${listText(unknown)}      ctl status`);
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

const isKind = (kind: string): kind is TelemetryKind => (TELEMETRY_KINDS as readonly string[]).includes(kind);

const shapesOf = (): Shapes =>
  Object.fromEntries(
    TELEMETRY_KINDS.map((kind) => [kind, shapeOf(jsonSchemaOf(TELEMETRY[kind].sample, "output"))]),
  );

/** What of last values it asks for. Errors: USAGE with the column. */
function conditionsOf(expression: string): (Pair | Some)[] {
  try {
    return leaves(parseSelector(expression)).filter(isOfValues);
  } catch (error) {
    if (error instanceof SelectorFault) throw new FleetError("USAGE", error.message);
    throw error;
  }
}

const titleOf = (condition: Pair | Some): string => condition.key;

function rowOf(host: string, conditions: readonly (Pair | Some)[], values: Values): Row {
  const found: Record<string, Shown[]> = {};
  for (const condition of conditions) {
    const sample = values[kindOf(condition)];
    const shown: Shown[] =
      condition.t === "pair"
        ? valuesOf(condition, sample)
        : elementsOf(condition, sample).map((value) => ({ of: nameOfElement(value), value }));
    const held = found[titleOf(condition)] ?? [];
    found[titleOf(condition)] = [...held, ...shown];
  }
  return { host, found };
}

function columnsOf(conditions: readonly (Pair | Some)[]): Column<Row>[] {
  const titles = [...new Set(conditions.map(titleOf))];
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
function shownText({ of, value }: Shown): string {
  if (typeof value === "object") return of === "" ? JSON.stringify(value) : of;
  return of === "" || of === value ? String(value) : `${of} ${value}`;
}
