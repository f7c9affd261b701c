/**
 * A condition of a rule of alerts.yml: an expression of `ctl query` over one host's last values and what was kept of them, without the words that choose hosts.
 * `health.cpu_busy>80%` is judged for each thing by itself when it is one comparison, and for the host when it is several. Pure.
 */
import { checkValues } from "./expression/faults.ts";
import {
  isOfValues,
  judged,
  leafText,
  leaves,
  type Node,
  type Pair,
  parseSelector,
  SelectorFault,
  type Some,
} from "./expression/parser.ts";
import type { Shapes } from "./expression/shape.ts";
import {
  elementsOf,
  fitsValues,
  isPartlyKnown,
  type Known,
  kindOf,
  nameOfElement,
  valuesOf,
  windowsOf,
} from "./expression/values.ts";

/** Longer ones would have every controller hold too much. */
export const CONDITION_WINDOW_MAX_MS = 6 * 3_600_000;

/** What fits: of which thing, "" = the host, and in words. */
export type Fitting = { readonly of: string; readonly what: string };

/** Errors: SelectorFault with the column. */
export function parseCondition(text: string): Node {
  const node = parseSelector(text);
  for (const leaf of leaves(node))
    if (!isOfValues(leaf))
      throw new SelectorFault(
        `expected a comparison of what hosts tell, such as health.cpu_busy>80%; hosts are chosen by \`on\``,
        leaf.at,
      );
  const longest = Math.max(0, ...windowsOf(node).map(({ window_ms }) => window_ms));
  if (longest > CONDITION_WINDOW_MAX_MS) throw new SelectorFault("an alert looks back 6h at most", null);
  return node;
}

/** What is wrong with a condition, in words; null = nothing. `shapes`: what hosts tell. */
export function conditionFault(text: string, shapes: Shapes | null = null): string | null {
  try {
    const node = parseCondition(text);
    if (shapes !== null) for (const leaf of leaves(node)) if (isOfValues(leaf)) checkValues(leaf, shapes);
    return null;
  } catch (error) {
    if (error instanceof SelectorFault) return error.message;
    throw error;
  }
}

/** The kinds of telemetry that it is about. */
export const kindsIn = (node: Node): string[] => [
  ...new Set(leaves(node).flatMap((leaf) => (leaf.t === "word" ? [] : kindOf(leaf)))),
];

/** Whether a host fits, and what of it; `unsure`: of the host, or of a thing of it, it is not known now. */
export function fitting(node: Node, known: Known): { readonly fits: Fitting[]; readonly unsure: boolean } {
  const whole = judged(node, (leaf) => (leaf.t === "word" ? false : fitsValues(leaf, known)));
  if (whole === undefined) return { fits: [], unsure: true };
  if (node.t === "pair" || node.t === "some")
    return { fits: whole ? fittingLeaf(node, known) : [], unsure: isPartlyKnown(node, known) };
  return { fits: whole ? fittingTogether(node, known) : [], unsure: false };
}

/** Of several comparisons one thing, the host. */
function fittingTogether(node: Node, known: Known): Fitting[] {
  const words = leaves(node).flatMap((leaf) =>
    leaf.t === "word"
      ? []
      : fittingLeaf(leaf, known).map(({ of, what }) => (of === "" ? what : `${of} ${what}`)),
  );
  return [{ of: "", what: words.slice(0, 8).join(", ") }];
}

function fittingLeaf(leaf: Pair | Some, known: Known): Fitting[] {
  const name = leafText(leaf);
  if (leaf.t === "some")
    return (elementsOf(leaf, known) ?? []).map((element) => ({
      of: nameOfElement(element),
      what: `${name} fits`,
    }));
  const found = valuesOf(leaf, known);
  if (leaf.operator === "!=")
    return [{ of: "", what: `${name} is ${listed(found.map(({ value }) => value))}, not ${leaf.value}` }];
  return found.map(({ of, value }) => ({
    of,
    what: `${name} is ${numberText(value)}${leaf.operator === "=" ? "" : `, told when ${leaf.operator} ${leaf.value}`}`,
  }));
}

const listed = (values: readonly unknown[]) =>
  values.length === 0 ? "nothing" : values.slice(0, 8).map(numberText).join(", ");
const numberText = (value: unknown) =>
  typeof value === "number" ? String(Number(value.toPrecision(4))) : String(value);
