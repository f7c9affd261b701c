/**
 * Last values in a selector (`ctl query`): `health.cpu_busy>80%`, `bgp.sessions(name=up* and state!=established)`. A path that goes through a list means
 * any of it, as a fact with several values does; what is null is no value. Pure.
 */
import { compare, like } from "./compare.ts";
import { judged, leaves, type Node, type Operator, type Pair, type Some } from "./parser.ts";
import { type KeptColumn, keptColumn, type Over, over, type Past, type Result } from "./window.ts";

/** A host's last samples by kind; a kind that is not here is not known now. */
export type Values = Readonly<Record<string, unknown>>;
/** A value, null = it is not known (of what was over a time), and the name of the thing in a list that it belongs to; "" = of no list. */
export type Found = { readonly value: unknown; readonly of: string; readonly points?: Result["points"] };
/** By which the elements of lists are called, the first that there is. */
const NAMES = [
  "name",
  "mount",
  "unit",
  "device",
  "sensor",
  "ref",
  "prefix",
  "table",
  "address",
  "what",
] as const;

/** Whether elements with these fields have a name. */
export const hasName = (fields: { has(name: string): boolean }): boolean =>
  NAMES.some((name) => fields.has(name));

export const nameOfElement = (element: unknown): string => {
  if (typeof element !== "object" || element === null) return "";
  const name = NAMES.find((field) => typeof (element as Record<string, unknown>)[field] === "string");
  return name === undefined ? "" : String((element as Record<string, unknown>)[name]);
};

/** All that stands at a path, lists gone through. */
export function valuesAt(root: unknown, path: readonly string[], of = ""): Found[] {
  if (root === null || root === undefined) return [];
  if (Array.isArray(root))
    return root.flatMap((element) => valuesAt(element, path, nameOfElement(element) || of));
  const [field, ...rest] = path;
  if (field === undefined) return [{ value: root, of }];
  if (typeof root !== "object" || !Object.hasOwn(root, field)) return [];
  return valuesAt((root as Record<string, unknown>)[field], rest, of);
}

/** The elements of the lists at a path. */
export function elementsAt(root: unknown, path: readonly string[]): unknown[] {
  if (root === null || root === undefined) return [];
  if (Array.isArray(root)) return root.flatMap((element) => elementsAt(element, path));
  const [field, ...rest] = path;
  if (field === undefined) return [root];
  return typeof root === "object" ? elementsAt((root as Record<string, unknown>)[field], rest) : [];
}

const AMOUNT = /^(-?\d+(?:\.\d+)?)\s*(%|[kMGT]|[KMGT]i)?B?$/;
const FACTORS: Readonly<Record<string, number>> = {
  ...{ "%": 0.01, k: 1e3, M: 1e6, G: 1e9, T: 1e12 },
  ...{ Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40 },
};

/** `80%`, `1.5`, `500M`, `4GiB`; undefined for what is no number. */
export function readAmount(text: string): number | undefined {
  const match = AMOUNT.exec(text.trim());
  return match === null ? undefined : Number(match[1]) * (FACTORS[match[2] ?? ""] ?? 1);
}

/** Whether one value fits, `!=` taken as `=`: who asks turns that round. */
export function fitsValue(value: unknown, operator: Operator, wanted: string): boolean {
  const plain = typeof value === "object" ? "" : String(value);
  if (operator === "=" || operator === "!=") {
    const amount = typeof value === "number" ? readAmount(wanted) : undefined;
    return amount === value || (typeof value !== "object" && like(plain, wanted));
  }
  const amount = readAmount(wanted);
  if (typeof value === "number" && amount === undefined) return false;
  const order = typeof value === "number" && amount !== undefined ? value - amount : compare(plain, wanted);
  return order === 0 ? operator.includes("=") : order < 0 === operator.startsWith("<");
}

export const kindOf = ({ key }: Pair | Some): string => key.slice(0, key.indexOf("."));
export const pathOf = ({ key }: Pair | Some): string[] => key.split(".").slice(1);

/** What is known of a host: its last samples, and the time before. */
export type Known = { readonly values: Values; readonly past?: Past | undefined };

/** Who declares no checks says nothing of any: that is known, and not a gap. */
export function withoutChecks(values: Values): Values {
  const managed = (values.convergence as { resources?: { managed?: Record<string, number> } } | undefined)
    ?.resources?.managed;
  return values.checks !== undefined || managed === undefined || (managed.check ?? 0) > 0
    ? values
    : { ...values, checks: { checks: [] } };
}

/** Whether what is known of a host fits; undefined = it is not known. */
export function fitsValues(leaf: Pair | Some, known: Known): boolean | undefined {
  const sample = known.values[kindOf(leaf)];
  if (sample === undefined) return undefined;
  if (leaf.t === "some") return elementsOf(leaf, known)?.some(() => true);
  const found = numbersOf(leaf, pathOf(leaf), sample, placeOf(leaf, known));
  return found === undefined ? undefined : fitsAny(leaf, found);
}

/** Where in a sample something stands, for what was kept of it. */
type Place = {
  readonly kind: string;
  readonly prefix: readonly string[];
  readonly only?: string;
  readonly past: Past | undefined;
};
const placeOf = (leaf: Pair | Some, { past }: Known): Place => ({ kind: kindOf(leaf), prefix: [], past });

/** What a pair compares; undefined = not known. */
function numbersOf(pair: Pair, path: readonly string[], root: unknown, place: Place): Found[] | undefined {
  const { kind, prefix, only, past } = place;
  if (pair.over !== undefined) {
    const column = keptColumn(kind, [...prefix, ...path].join("."));
    // Of a host that has none of it there is nothing to be known.
    if (column?.each === true && only === undefined && hasNone(root, path)) return [];
    return column === null || past === undefined ? undefined : over(pair.over, column, past, only);
  }
  const found = valuesAt(root, path);
  if (pair.by === undefined) return found;
  const under = valuesAt(root, prefix.length === 0 ? pair.by.split(".").slice(1) : pair.by.split("."));
  return found.flatMap(({ value, of }) => {
    // Of the same thing, or one number for all.
    const by = under.find((each) => each.of === of) ?? (under.length === 1 ? under[0] : undefined);
    const divides = typeof value === "number" && typeof by?.value === "number" && by.value !== 0;
    return divides ? [{ value: value / (by.value as number), of }] : [];
  });
}

const hasNone = (root: unknown, [list = ""]: readonly string[]): boolean => {
  const there =
    typeof root === "object" && root !== null ? (root as Record<string, unknown>)[list] : undefined;
  return Array.isArray(there) && there.length === 0;
};

function fitsAny({ operator, value: wanted }: Pair, found: readonly Found[]): boolean | undefined {
  const fit = found.some(({ value }) => value !== null && fitsValue(value, operator, wanted));
  if (!fit && found.some(({ value }) => value === null)) return undefined;
  return fit !== (operator === "!=");
}

/** Those in the lists of a sample for which it holds; undefined = it would have to be known what was before. */
export function elementsOf(node: Some, known: Known): unknown[] | undefined {
  const each = judgedElements(node, known);
  const fit = each.filter(({ holds }) => holds === true).map(({ element }) => element);
  return fit.length === 0 && each.some(({ holds }) => holds === undefined) ? undefined : fit;
}

function judgedElements(node: Some, known: Known) {
  const place = { ...placeOf(node, known), prefix: pathOf(node) };
  return elementsAt(known.values[place.kind], place.prefix).map((element) => ({
    element,
    holds: holds(node.of, element, { ...place, only: nameOfElement(element) }),
  }));
}

/** Whether something is not known of any of the things that it is about, whatever the others do. */
export function isPartlyKnown(leaf: Pair | Some, known: Known): boolean {
  if (leaf.t === "some") return judgedElements(leaf, known).some(({ holds }) => holds === undefined);
  const found = numbersOf(leaf, pathOf(leaf), known.values[kindOf(leaf)], placeOf(leaf, known));
  return found === undefined || found.some(({ value }) => value === null);
}

function holds(node: Node, element: unknown, place: Place): boolean | undefined {
  return judged(node, (leaf) => {
    if (leaf.t === "word") return false;
    const path = leaf.key.split(".");
    if (leaf.t === "some") {
      const inner = { ...place, prefix: [...place.prefix, ...path] };
      const each = elementsAt(element, path).map((one) =>
        holds(leaf.of, one, { ...inner, only: nameOfElement(one) }),
      );
      return each.includes(true) || (each.includes(undefined) ? undefined : false);
    }
    const found = numbersOf(leaf, path, element, place);
    return found === undefined ? undefined : fitsAny(leaf, found);
  });
}

/** What a pair is about, for showing: the values that fit it, or with `!=` all. Empty also where nothing is known. */
export function valuesOf(pair: Pair, known: Known): Found[] {
  const all = numbersOf(pair, pathOf(pair), known.values[kindOf(pair)], placeOf(pair, known)) ?? [];
  const found = all.filter(({ value }) => value !== null);
  return pair.operator === "!="
    ? found
    : found.filter(({ value }) => fitsValue(value, pair.operator, pair.value));
}

/** What of the past an expression asks for. Errors: none; what is not kept is left out. */
export function windowsOf(
  node: Node,
): (KeptColumn & { readonly window_ms: number; readonly over: Over; readonly kind: string })[] {
  const within = (of: Node, kind: string, prefix: readonly string[]): ReturnType<typeof windowsOf> =>
    leaves(of).flatMap((leaf) => {
      if (leaf.t === "word") return [];
      const [own, path] = kind === "" ? [kindOf(leaf), pathOf(leaf)] : [kind, leaf.key.split(".")];
      const whole = [...prefix, ...path];
      if (leaf.t === "some") return within(leaf.of, own, whole);
      const column = leaf.over === undefined ? null : keptColumn(own, whole.join("."));
      return column === null || leaf.over === undefined
        ? []
        : [{ ...column, kind: own, over: leaf.over, window_ms: leaf.over.window_ms }];
    });
  return within(node, "", []);
}
