/** Where each field of a resource came from, as lines. Pure. */
import type { Explanation } from "../inventory/explain.ts";
import { placeText } from "../inventory/problem.ts";
import type { Colour } from "../output/colour.ts";
import { tableLines } from "../output/table.ts";

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
