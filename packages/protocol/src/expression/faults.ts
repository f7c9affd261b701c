/**
 * What is wrong with an expression over what hosts tell: what there is not, and what could never fit, such as a number compared with a word, a state that is none, or
 * a number over time of things that have no names. Whoever writes such a rule hears so before it holds. Pure.
 */
import { suggest } from "../suggest.ts";
import { isPattern, like } from "./compare.ts";
import { leafText, leaves, type Pair, SelectorFault, type Some } from "./parser.ts";
import type { Plain, Shape, Shapes } from "./shape.ts";
import { hasName, kindOf, pathOf, readAmount } from "./values.ts";
import { keptColumn, keptNames } from "./window.ts";

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
        ? overFault(shape, leaf, kind, prefix, path)
        : (pairFaultAt(shape, leaf, path) ??
          byFault(shape, leaf, kind, prefix, path) ??
          valueFault(leaf, leaf.by === undefined ? (shapeAt(shape, path)?.plain ?? null) : NUMBER));
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

/** Of what is not kept nothing can be said over a time, and of one thing in a list only by its name. */
function overFault(
  shape: Shape,
  leaf: Pair,
  kind: string,
  prefix: readonly string[],
  path: readonly string[],
): string | null {
  const name = [...prefix, ...path].join(".");
  const column = keptColumn(kind, name);
  if (column === null) return keptFault(kind, name, leaf);
  if (prefix.length > 0 && !hasName(shape.fields ?? new Set())) {
    const whole = leafText({ ...leaf, key: `${kind}.${name}` });
    return `\`${leafText(leaf)}\`: ${kind}.${prefix.join(".")} have no names by which they are kept; ask for ${whole}`;
  }
  const { fn } = leaf.over ?? {};
  const amount = readAmount(leaf.value);
  if (column.counter === true && (fn === "rate" || fn === "increase") && amount !== undefined)
    if (leaf.operator === "<" ? amount <= 0 : amount < 0 && (leaf.operator === "<=" || leaf.operator === "="))
      return `\`${leafText(leaf)}\` only grows: it is never ${leaf.operator} ${leaf.value}`;
  return valueFault(leaf, NUMBER);
}

function keptFault(kind: string, name: string, { key }: Pair): string | null {
  const names = keptNames(kind);
  if (names.length === 0) return `\`${key}\` is not kept over time: nothing of ${kind} is`;
  const whole = names.map((each) => `${kind}.${each}`);
  return `\`${key}\` is not kept over time${suggest(`${kind}.${name}`, whole) || `; kept are ${whole.join(", ")}`}`;
}

const NUMBER: Plain = { number: true, words: [] };

/** A value that nothing there can be, or be compared with. */
function valueFault(pair: Pair, plain: Plain | null): string | null {
  if (plain === null || plain.words === null) return null;
  const { operator, value } = pair;
  const equals = operator === "=" || operator === "!=";
  if (plain.number && (readAmount(value) !== undefined || (equals && isPattern(value)))) return null;
  if (equals && plain.words.some((word) => like(word, value))) return null;
  const name = leafText(pair);
  if (plain.words.length === 0)
    return `\`${name}\` is a number, and ${value} is none: 1.5, 80%, 500M and 4Gi are`;
  if (!equals && !plain.number)
    return `\`${name}\` is ${plain.words.join(", ")}: it is compared with = and !=`;
  return `\`${name}\` is never ${value}${suggest(value, plain.words) || `; it is ${plain.words.join(", ")}`}`;
}

function byFault(
  shape: Shape,
  { by, key }: Pair,
  kind: string,
  prefix: readonly string[],
  path: readonly string[],
): string | null {
  if (by === undefined) return null;
  const whole = `${key}/${by}`;
  const [other, ...more] = by.split(".");
  if (prefix.length === 0 && other !== kind) return `\`${whole}\`: both must be of ${kind}`;
  const under = prefix.length === 0 ? more : by.split(".");
  const fault = pathFault(shape, under, by);
  if (fault !== null) return fault;
  for (const [name, at] of [
    [key, path],
    [by, under],
  ] as const)
    if (shapeAt(shape, at)?.plain?.number === false) return `\`${whole}\`: ${name} is no number`;
  const [lists, by_lists] = [listAt(shape, path), listAt(shape, under)];
  return by_lists === "" || by_lists === lists
    ? null
    : `\`${whole}\`: what it is divided by must be of the same list, or of none`;
}

/** The path of the last list on the way; "" = none. */
function listAt(shape: Shape, path: readonly string[]): string {
  let [at, list]: [Shape | null, string] = [shape, ""];
  for (const [index, field] of path.entries()) {
    at = at?.fields?.get(field) ?? at?.any ?? null;
    if (at?.list === true) list = path.slice(0, index + 1).join(".");
  }
  return list;
}
