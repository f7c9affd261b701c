/**
 * Last values in a selector (`ctl query`): `health.cpu_busy>80%`, `bgp.sessions(name=up* and state!=established)`. A path that goes through a list means
 * any of it, as a fact with several values does; what is null is no value. Pure.
 */

import { suggest } from "../suggest.ts";
import { compare, like } from "./compare.ts";
import { judged, leaves, type Node, type Operator, type Pair, SelectorFault, type Some } from "./parser.ts";
import { type KeptColumn, keptColumn, keptNames, type Over, over, type Past, type Result } from "./window.ts";

/** A host's last samples by kind; a kind that is not here is not known now. */
export type Values = Readonly<Record<string, unknown>>;
/** A value, null = it is not known (of what was over a time), and the name of the thing in a list that it belongs to; "" = of no list. */
export type Found = { readonly value: unknown; readonly of: string; readonly points?: Result["points"] };
/** What there is to ask for: the fields of an object by name; null = any name. */
export type Shape = {
  readonly fields: ReadonlyMap<string, Shape> | null;
  readonly any: Shape | null;
  readonly list: boolean;
};

/** What may be asked, by the kind of telemetry; empty where last values are not asked for. */
export type Shapes = Readonly<Record<string, Shape>>;

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

/** What is wrong with a path, in words; null = it is there. `whole` is how it was typed. */
function pathFault(shape: Shape, path: readonly string[], whole: string): string | null {
  let at: Shape = shape;
  const so_far: string[] = [];
  for (const field of path) {
    const next: Shape | null | undefined = at.fields?.get(field) ?? at.any;
    if (next == null) {
      const names = [...(at.fields?.keys() ?? [])];
      const where = so_far.length === 0 ? "there" : `\`${so_far.join(".")}\``;
      if (names.length === 0) return `\`${whole}\`: ${where} is one value and has no \`${field}\``;
      const hint = suggest(field, names) || `; there is ${names.join(", ")}`;
      return `\`${whole}\`: ${where} has no \`${field}\`${hint}`;
    }
    so_far.push(field);
    at = next;
  }
  return null;
}

/** The shape at a path that `pathFault` takes. */
function shapeAt(shape: Shape, path: readonly string[]): Shape | null {
  let at: Shape | null = shape;
  for (const field of path) at = at?.fields?.get(field) ?? at?.any ?? null;
  return at;
}

/** What is compared, of a pair whose path ends in an object: that is no value. */
function pairFaultAt(shape: Shape, { key, operator, value }: Pair, path: readonly string[]): string | null {
  const fault = pathFault(shape, path, key);
  if (fault !== null && keptColumn(key.slice(0, key.indexOf(".")), path.join(".")) !== null)
    return `\`${key}\` is kept over time only: max(${key}, 1h)`;
  if (fault !== null) return fault;
  const end = shapeAt(shape, path);
  if (end?.fields != null && end.fields.size > 0)
    return `\`${key}\` is no single value; there is ${[...end.fields.keys()].map((field) => `${key}.${field}`).join(", ")}`;
  if (operator !== "=" && operator !== "!=" && value === "*")
    return `\`${key}${operator}*\`: * goes with = and !=`;
  return null;
}

export const kindOf = ({ key }: Pair | Some): string => key.slice(0, key.indexOf("."));
const pathOf = ({ key }: Pair | Some): string[] => key.split(".").slice(1);

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

/** Errors: SelectorFault for what there is not, with its column. */
export function checkValues(leaf: Pair | Some, shapes: Shapes): void {
  const kinds = Object.keys(shapes);
  if (kinds.length === 0) throw new SelectorFault(`\`${leaf.key}\`: last values are for ctl query`, leaf.at);
  const shape = shapes[kindOf(leaf)];
  if (shape === undefined)
    throw new SelectorFault(
      `no telemetry \`${kindOf(leaf)}\`${suggest(kindOf(leaf), kinds) || `; there is ${kinds.join(", ")}`}`,
      leaf.at,
    );
  checkPath(leaf, shape, pathOf(leaf), kindOf(leaf), []);
}

function checkPath(
  leaf: Pair | Some,
  shape: Shape,
  path: readonly string[],
  kind: string,
  prefix: readonly string[],
): void {
  const fault =
    leaf.t === "some"
      ? pathFault(shape, path, leaf.key)
      : leaf.over !== undefined
        ? keptFault(kind, [...prefix, ...path].join("."), leaf)
        : (pairFaultAt(shape, leaf, path) ?? byFault(shape, leaf, kind, prefix));
  if (fault !== null) throw new SelectorFault(fault, leaf.at);
  if (leaf.t === "pair") return;
  const inside = shapeAt(shape, path);
  if (inside === null || !inside.list) throw new SelectorFault(`\`${leaf.key}\` is no list`, leaf.at);
  for (const each of leaves(leaf.of)) {
    if (each.t === "word")
      throw new SelectorFault(`expected a comparison, as state=active, found \`${each.word}\``, each.at);
    checkPath(each, inside, each.key.split("."), kind, [...prefix, ...path]);
  }
}

/** Of what is not kept nothing can be said over a time. */
function keptFault(kind: string, name: string, { key }: Pair): string | null {
  if (keptColumn(kind, name) !== null) return null;
  const names = keptNames(kind);
  if (names.length === 0) return `\`${key}\` is not kept over time: nothing of ${kind} is`;
  const whole = names.map((each) => `${kind}.${each}`);
  return `\`${key}\` is not kept over time${suggest(`${kind}.${name}`, whole) || `; kept are ${whole.join(", ")}`}`;
}

function byFault(shape: Shape, { by, key }: Pair, kind: string, prefix: readonly string[]): string | null {
  if (by === undefined) return null;
  if (prefix.length > 0) return pathFault(shape, by.split("."), by);
  const [other, ...path] = by.split(".");
  if (other !== kind) return `\`${key}/${by}\`: both must be of ${kind}`;
  return pathFault(shape, path, by);
}
