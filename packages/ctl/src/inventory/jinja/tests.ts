/** The tests of Jinja2 (`x is defined`), and those of Ansible that configuration templates use. */
import { compare } from "./operators.ts";
import {
  Callable,
  demand,
  equal,
  Float,
  isNumber,
  iterate,
  LazyDict,
  numberOf,
  str,
  truthy,
  Undefined,
  type Value,
  ValueError,
} from "./value.ts";

export type Test = (value: Value, args: readonly Value[]) => boolean;

function arg(args: readonly Value[]): Value {
  const first = args[0];
  if (first === undefined) throw new ValueError("this test wants an argument");
  return first;
}

function whole(value: Value): number {
  const known = demand(value);
  if (typeof known !== "number") throw new ValueError("this test wants a whole number");
  return known;
}

function pattern(args: readonly Value[], prefix: string, suffix: string): RegExp {
  try {
    return new RegExp(prefix + str(arg(args)).replaceAll("(?P<", "(?<") + suffix, "u");
  } catch (cause) {
    throw new ValueError(`not a regular expression: ${str(arg(args))}`, { cause });
  }
}

const within = (left: Value, right: Value) => iterate(left).every((item) => compare("in", item, right));

const KNOWN: Record<string, Test> = {
  none: (v) => v === null,
  boolean: (v) => typeof v === "boolean",
  true: (v) => v === true,
  false: (v) => v === false,
  integer: (v) => typeof v === "number",
  float: (v) => v instanceof Float,
  number: (v) => isNumber(v),
  string: (v) => typeof v === "string",
  mapping: (v) => v instanceof Map || v instanceof LazyDict,
  sequence: (v) => typeof v === "string" || Array.isArray(v) || v instanceof Map,
  iterable: (v) => typeof v === "string" || Array.isArray(v) || v instanceof Map || v instanceof LazyDict,
  callable: (v) => v instanceof Callable,
  odd: (v) => Math.abs(whole(v)) % 2 === 1,
  even: (v) => whole(v) % 2 === 0,
  divisibleby: (v, args) => whole(v) % whole(arg(args)) === 0,
  lower: (v) => str(v) === str(v).toLowerCase(),
  upper: (v) => str(v) === str(v).toUpperCase(),
  in: (v, args) => compare("in", v, arg(args)),
  sameas: (v, args) => v === arg(args),
  eq: (v, args) => equal(v, arg(args)),
  ne: (v, args) => !equal(v, arg(args)),
  lt: (v, args) => compare("<", v, arg(args)),
  le: (v, args) => compare("<=", v, arg(args)),
  gt: (v, args) => compare(">", v, arg(args)),
  ge: (v, args) => compare(">=", v, arg(args)),
  match: (v, args) => pattern(args, "^(?:", ")").test(str(v)),
  search: (v, args) => pattern(args, "", "").test(str(v)),
  regex: (v, args) => pattern(args, "", "").test(str(v)),
  contains: (v, args) => compare("in", arg(args), v),
  subset: (v, args) => within(v, arg(args)),
  superset: (v, args) => within(arg(args), v),
  truthy: (v) => truthy(v),
  falsy: (v) => !truthy(v),
  nan: (v) => isNumber(v) && Number.isNaN(numberOf(v)),
};

const ALIASES: Record<string, string> = {
  "==": "eq",
  equalto: "eq",
  "!=": "ne",
  "<": "lt",
  lessthan: "lt",
  "<=": "le",
  ">": "gt",
  greaterthan: "gt",
  ">=": "ge",
  issubset: "subset",
  issuperset: "superset",
};

export const TEST_NAMES: readonly string[] = [
  "defined",
  "undefined",
  ...Object.keys(KNOWN),
  ...Object.keys(ALIASES),
];

/** The test of that name, or undefined. Only `defined` and `undefined` may see what is not there. */
export function test(name: string): Test | undefined {
  if (name === "defined") return (value) => !(value instanceof Undefined);
  if (name === "undefined") return (value) => value instanceof Undefined;
  const key = Object.hasOwn(ALIASES, name) ? (ALIASES[name] ?? name) : name;
  const found = Object.hasOwn(KNOWN, key) ? KNOWN[key] : undefined;
  return found === undefined ? undefined : (value, args) => found(demand(value), args);
}
