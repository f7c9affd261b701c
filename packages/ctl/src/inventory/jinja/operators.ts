/** Operators and subscripts of template expressions, as Python does them. Throws ValueError; the evaluator adds the place. */
import { suggest } from "../problem.ts";
import type { BinaryOperator, Comparison } from "./ast.ts";
import { method } from "./methods.ts";
import { formatPercent } from "./printf.ts";
import {
  Attributes,
  demand,
  equal,
  Float,
  isNumber,
  iterate,
  LazyDict,
  lookup,
  numberOf,
  order,
  Reference,
  str,
  Tuple,
  tuple,
  typeName,
  Undefined,
  type Value,
  ValueError,
} from "./value.ts";

/** Text and lists that an operator makes may not be longer: `"x" * 10**9` is a mistake or an attack. */
const MAX_LENGTH = 1 << 20;

function arithmetic(op: BinaryOperator, left: number, right: number, float: boolean): Value {
  const made = (value: number, isFloat: boolean): Value => {
    if (isFloat) return new Float(value);
    if (!Number.isSafeInteger(value)) throw new ValueError(`the result of \`${op}\` is too large`);
    return value;
  };
  if ((op === "/" || op === "//" || op === "%") && right === 0) throw new ValueError("division by zero");
  if (op === "+") return made(left + right, float);
  if (op === "-") return made(left - right, float);
  if (op === "*") return made(left * right, float);
  if (op === "/") return made(left / right, true);
  if (op === "//") return made(Math.floor(left / right), float);
  if (op === "%") return made(left - right * Math.floor(left / right), float);
  return made(left ** right, float || right < 0);
}

export function binary(op: BinaryOperator, left: Value, right: Value): Value {
  const a = demand(left);
  const b = demand(right);
  if (op === "~") return str(a) + str(b);
  if (op === "%" && typeof a === "string") return formatPercent(a, b instanceof Tuple ? [...b] : [b]);
  if (isNumber(a) && isNumber(b))
    return arithmetic(op, numberOf(a), numberOf(b), a instanceof Float || b instanceof Float);
  if (op === "+" && typeof a === "string" && typeof b === "string") return a + b;
  if (op === "+" && a instanceof Tuple && b instanceof Tuple) return tuple(...a, ...b);
  if (op === "+" && Array.isArray(a) && Array.isArray(b)) return [...a, ...b];
  if (op === "*" && (typeof a === "string" || Array.isArray(a)) && typeof b === "number") {
    if (a.length * b > MAX_LENGTH) throw new ValueError("the result of `*` is too long");
    if (typeof a === "string") return a.repeat(Math.max(0, b));
    return Array.from({ length: Math.max(0, b) }, () => a).flat();
  }
  const hint = op === "+" ? "; `~` joins values as text" : "";
  throw new ValueError(`\`${op}\` does not work on ${typeName(a)} and ${typeName(b)}${hint}`);
}

function contains(container: Value, item: Value): boolean {
  const known = demand(container);
  demand(item);
  if (typeof known === "string") {
    if (typeof item !== "string")
      throw new ValueError(`\`in\` a string wants a string, not ${typeName(item)}`);
    return known.includes(item);
  }
  if (known instanceof Map) return lookup(known, item) !== undefined;
  if (known instanceof LazyDict) return typeof item === "string" && known.keys().includes(item);
  return iterate(known).some((other) => !(other instanceof Reference) && equal(other, item));
}

export function compare(op: Comparison, left: Value, right: Value): boolean {
  if (op === "==") return equal(left, right);
  if (op === "!=") return !equal(left, right);
  if (op === "in") return contains(right, left);
  if (op === "not in") return !contains(right, left);
  const result = order(left, right);
  if (op === "<") return result < 0;
  if (op === "<=") return result <= 0;
  return op === ">" ? result > 0 : result >= 0;
}

export function negate(op: "-" | "+", value: Value): Value {
  const known = demand(value);
  if (!isNumber(known)) throw new ValueError(`\`${op}\` does not work on ${typeName(known)}`);
  const number = op === "-" ? -numberOf(known) : numberOf(known);
  return known instanceof Float ? new Float(number) : number;
}

function keysOf(value: Value): string[] {
  if (value instanceof Map) return [...value.keys()].map((key) => String(key));
  if (value instanceof LazyDict) return [...value.keys()];
  return value instanceof Attributes ? [...value.values.keys()] : [];
}

function missing(of: Value, key: Value, path: string): Undefined {
  const text = typeof key === "string" ? key : str(key);
  if (Array.isArray(of)) return new Undefined(`\`${path}\` is undefined: the list has ${of.length} items`);
  const keys = keysOf(of);
  const shown =
    keys.length > 0 && keys.length <= 8 ? `; it has ${keys.map((k) => `\`${k}\``).join(", ")}` : "";
  return new Undefined(`\`${path}\` is undefined${suggest(text, keys) || shown}`);
}

/** `??` that keeps null: none is a value like any other. */
function or(value: Value | undefined, otherwise: () => Value): Value {
  return value === undefined ? otherwise() : value;
}

/** `of.name`: methods first, then keys, as Jinja2 does. `path` is the source text of the expression, for messages. */
export function attribute(of: Value, name: string, path: string): Value {
  const known = demand(of);
  if (known instanceof Attributes) return or(known.values.get(name), () => missing(known, name, path));
  return or(method(known, name), () => or(keyed(known, name), () => missing(known, name, path)));
}

function keyed(of: Value, key: Value): Value | undefined {
  if (of instanceof Map) return lookup(of, key);
  if (of instanceof LazyDict) return typeof key === "string" ? of.get(key) : undefined;
  if (of instanceof Attributes) return typeof key === "string" ? of.values.get(key) : undefined;
  if ((Array.isArray(of) || typeof of === "string") && typeof key === "number") {
    const items = typeof of === "string" ? [...of] : of;
    return items[key < 0 ? items.length + key : key];
  }
  return undefined;
}

/** `of[key]`: keys first, then methods, as Jinja2 does. */
export function item(of: Value, key: Value, path: string): Value {
  const known = demand(of);
  const found = keyed(known, demand(key));
  if (found !== undefined) return found;
  return or(typeof key === "string" ? method(known, key) : undefined, () => missing(known, key, path));
}

/** `of[start:stop:step]`. */
export function slice(of: Value, parts: readonly Value[]): Value {
  const known = demand(of);
  if (typeof known !== "string" && !Array.isArray(known))
    throw new ValueError(`${typeName(known)} cannot be sliced`);
  const numbers = parts.map((part) => {
    const bound = demand(part);
    if (bound !== null && typeof bound !== "number")
      throw new ValueError("the bounds of a slice are whole numbers");
    return bound;
  });
  const items: Value[] = typeof known === "string" ? [...known] : known;
  const step = numbers[2] ?? 1;
  if (step === 0) throw new ValueError("the step of a slice cannot be 0");
  const size = items.length;
  const clamp = (bound: number | null | undefined, fallback: number): number => {
    if (bound === null || bound === undefined) return fallback;
    const from = bound < 0 ? bound + size : bound;
    return step > 0 ? Math.min(Math.max(from, 0), size) : Math.min(Math.max(from, -1), size - 1);
  };
  const start = clamp(numbers[0], step > 0 ? 0 : size - 1);
  const stop = clamp(numbers[1], step > 0 ? size : -1);
  const made: Value[] = [];
  for (let i = start; step > 0 ? i < stop : i > stop; i += step) made.push(items[i] ?? null);
  if (typeof known === "string") return made.join("");
  return known instanceof Tuple ? tuple(...made) : made;
}
