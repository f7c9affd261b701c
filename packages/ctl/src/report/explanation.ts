/** Where each field of a resource came from, what it becomes, and what the host says of it, as lines. Pure. */
import { FleetError } from "@muster/protocol/errors";
import type { Planned } from "../apply/plans.ts";
import type { Explanation } from "../inventory/explain.ts";
import { placeText } from "../inventory/problem.ts";
import type { Colour } from "../output/colour.ts";
import type { OutputForm } from "../output/output.ts";
import { tableLines } from "../output/table.ts";
import { countText } from "../output/words.ts";
import { planLines } from "./plan.ts";

const VALUE_WIDTH = 60;
const cut = (text: string) => (text.length > VALUE_WIDTH ? `${text.slice(0, VALUE_WIDTH - 1)}…` : text);

export function explanationLines(explained: Explanation, colour: Colour): string[] {
  const rows = explained.fields.flatMap((field) => [
    { path: field.path, value: cut(field.value), at: placeText(field.at), old: false },
    ...field.replaced
      .map((old) => ({ path: "", value: cut(old.value), at: `${placeText(old.at)}  replaced`, old: true }))
      .reverse(),
  ]);
  const lines = tableLines(rows, [
    { title: "FIELD", value: (row) => row.path },
    { title: "VALUE", value: (row) => row.value },
    { title: "FROM", value: (row) => (row.old ? colour.dim(row.at) : row.at) },
  ]);
  return [
    `${colour.bold(`${explained.host} ${explained.ref}`)}${explained.absent ? `  ${colour.amber("absent: taken away")}` : ""}`,
    ...(rows.length > 0 ? lines : ["no fields: all of it is by default"]),
    ...(explained.needs.length > 0 ? [`after  ${explained.needs.join(", ")}`] : []),
  ];
}

/** Lines of the rendered form that are shown; `-o wide` shows all. */
const RENDERED_LINES = 30;

export function renderedLines(
  text: string,
  whole: string,
  { form, colour }: { form: OutputForm; colour: Colour },
): string[] {
  const lines = text.trimEnd().split("\n");
  const shown = form === "wide" ? lines : lines.slice(0, RENDERED_LINES);
  const more = lines.length - shown.length;
  return [
    colour.bold("renders to"),
    ...shown.map((line) => `  ${line}`.trimEnd()),
    ...(more > 0 ? [`  (${countText(more, "more line")}: ${whole})`] : []),
  ];
}

/** What the host has and why it would change; said plainly where that is not known. `wide` adds the hash that it leads to. */
export function hostLines(
  host: string,
  asked: Planned | FleetError | "not enrolled",
  colour: Colour,
  wide: boolean,
): string[] {
  if (asked === "not enrolled")
    return [`${colour.amber("not enrolled")}  there is no ${host} to ask      ctl join ${host}`];
  if (asked instanceof FleetError)
    return [`${colour.amber("not asked")}  what ${host} has is not known: ${asked.message.split("\n")[0]}`];
  const { plan, target } = asked;
  if (plan === null)
    return [
      `${colour.red("SILENT")}  ${host} does not answer: what it has is not known      ctl status ${host}`,
    ];
  const differs = plan instanceof FleetError || plan.steps.length > 0;
  const agrees = `${colour.green("agrees")}  ${host} has it as the folder says`;
  const told = planLines([asked], { pending: [], not_enrolled: [] }, colour);
  // Without steps the plan's own words are about signatures; what is held or drifted is still said.
  const lines = differs ? told : [agrees, ...told.filter((line) => line.startsWith("     "))];
  return wide ? [...lines, `content  ${target.desired.content_hash}`] : lines;
}
