/** The methods of Python strings, lists and dicts that templates call: `name.upper()`, `sessions.items()`, `list.append(x)`. */
import { formatBraces } from "./printf.ts";
import {
  type CallArguments,
  Callable,
  equal,
  iterate,
  LazyDict,
  lookup,
  str,
  Tuple,
  tuple,
  type Value,
  ValueError,
} from "./value.ts";

type Method<T> = (self: T, args: CallArguments) => Value;

function textAt(args: CallArguments, index: number, fallback?: string): string {
  const value = args.positional[index];
  if (value === undefined && fallback !== undefined) return fallback;
  if (typeof value !== "string") throw new ValueError(`argument ${index + 1} must be a string`);
  return value;
}

function wholeAt(args: CallArguments, index: number, fallback: number): number {
  const value = args.positional[index];
  if (value === undefined) return fallback;
  if (typeof value !== "number") throw new ValueError(`argument ${index + 1} must be a whole number`);
  return value;
}

function stripped(text: string, args: CallArguments, left: boolean, right: boolean): string {
  const given = args.positional[0] ?? null;
  if (given === null) return left ? (right ? text.trim() : text.trimStart()) : text.trimEnd();
  const chars = textAt(args, 0);
  let from = 0;
  let to = text.length;
  while (left && from < to && chars.includes(text[from] ?? "")) from++;
  while (right && to > from && chars.includes(text[to - 1] ?? "")) to--;
  return text.slice(from, to);
}

function split(text: string, args: CallArguments, fromRight: boolean): string[] {
  const given = args.positional[0] ?? args.named.get("sep") ?? null;
  const limit = args.positional[1] ?? args.named.get("maxsplit") ?? -1;
  if (given === "") throw new ValueError("the separator is empty");
  const parts =
    given === null
      ? text
          .trim()
          .split(/\s+/)
          .filter((part) => part !== "")
      : text.split(str(given));
  if (typeof limit !== "number" || limit < 0 || parts.length <= limit + 1) return parts;
  const glue = given === null ? " " : str(given);
  return fromRight
    ? [parts.slice(0, parts.length - limit).join(glue), ...parts.slice(parts.length - limit)]
    : [...parts.slice(0, limit), parts.slice(limit).join(glue)];
}

function hasAffix(args: CallArguments, test: (affix: string) => boolean): boolean {
  const given = args.positional[0];
  return given instanceof Tuple ? given.some((affix) => test(str(affix))) : test(textAt(args, 0));
}

const cased = (text: string) => /\p{L}/u.test(text);
const titled = (text: string) =>
  text.toLowerCase().replace(/\p{L}+/gu, (word) => word.charAt(0).toUpperCase() + word.slice(1));

const STRING: Record<string, Method<string>> = {
  upper: (self) => self.toUpperCase(),
  lower: (self) => self.toLowerCase(),
  title: (self) => titled(self),
  capitalize: (self) => self.charAt(0).toUpperCase() + self.slice(1).toLowerCase(),
  strip: (self, args) => stripped(self, args, true, true),
  lstrip: (self, args) => stripped(self, args, true, false),
  rstrip: (self, args) => stripped(self, args, false, true),
  split: (self, args) => split(self, args, false),
  rsplit: (self, args) => split(self, args, true),
  splitlines: (self) => (self === "" ? [] : self.replace(/\n$/, "").split("\n")),
  partition: (self, args) => {
    const at = self.indexOf(textAt(args, 0));
    return at < 0
      ? tuple(self, "", "")
      : tuple(self.slice(0, at), textAt(args, 0), self.slice(at + textAt(args, 0).length));
  },
  join: (self, args) =>
    iterate(args.positional[0] ?? [])
      .map((part) => {
        if (typeof part !== "string")
          throw new ValueError("`join` of a string wants strings; the filter takes anything");
        return part;
      })
      .join(self),
  replace: (self, args) => {
    const limit = wholeAt(args, 2, -1);
    if (limit < 0) return self.replaceAll(textAt(args, 0), () => textAt(args, 1));
    const parts = self.split(textAt(args, 0));
    return [...parts.slice(0, limit), parts.slice(limit).join(textAt(args, 0))].join(textAt(args, 1));
  },
  startswith: (self, args) => hasAffix(args, (affix) => self.startsWith(affix)),
  endswith: (self, args) => hasAffix(args, (affix) => self.endsWith(affix)),
  removeprefix: (self, args) =>
    self.startsWith(textAt(args, 0)) ? self.slice(textAt(args, 0).length) : self,
  removesuffix: (self, args) =>
    self.endsWith(textAt(args, 0)) ? self.slice(0, self.length - textAt(args, 0).length) : self,
  find: (self, args) => self.indexOf(textAt(args, 0)),
  rfind: (self, args) => self.lastIndexOf(textAt(args, 0)),
  count: (self, args) => self.split(textAt(args, 0)).length - 1,
  zfill: (self, args) => self.padStart(wholeAt(args, 0, 0), "0"),
  ljust: (self, args) => self.padEnd(wholeAt(args, 0, 0), textAt(args, 1, " ")),
  rjust: (self, args) => self.padStart(wholeAt(args, 0, 0), textAt(args, 1, " ")),
  isdigit: (self) => /^\d+$/.test(self),
  isalpha: (self) => /^\p{L}+$/u.test(self),
  isalnum: (self) => /^[\p{L}\p{N}]+$/u.test(self),
  isupper: (self) => cased(self) && self === self.toUpperCase(),
  islower: (self) => cased(self) && self === self.toLowerCase(),
  format: (self, args) => formatBraces(self, args),
};

/** Lists that come from the inventory are frozen: a template may only change what it made itself. */
function writable(list: Value[]): Value[] {
  if (Object.isFrozen(list))
    throw new ValueError("a list of the inventory cannot be changed; build a new one with `+`");
  return list;
}

const LIST: Record<string, Method<Value[]>> = {
  append: (self, args) => {
    writable(self).push(args.positional[0] ?? null);
    return null;
  },
  extend: (self, args) => {
    writable(self).push(...iterate(args.positional[0] ?? []));
    return null;
  },
  pop: (self) => {
    const last = writable(self).pop();
    if (last === undefined) throw new ValueError("`pop` from an empty list");
    return last;
  },
  index: (self, args) => {
    const at = self.findIndex((item) => equal(item, args.positional[0] ?? null));
    if (at < 0) throw new ValueError(`${str(args.positional[0] ?? null)} is not in the list`);
    return at;
  },
  count: (self, args) => self.filter((item) => equal(item, args.positional[0] ?? null)).length,
};

const DICT: Record<string, Method<Map<Value, Value>>> = {
  items: (self) => [...self].map(([key, value]) => tuple(key, value)),
  keys: (self) => [...self.keys()],
  values: (self) => [...self.values()],
  get: (self, args) => {
    const found = lookup(self, args.positional[0] ?? null);
    return found === undefined ? (args.positional[1] ?? null) : found;
  },
  copy: (self) => new Map(self),
};

const LAZY: Record<string, Method<LazyDict>> = {
  items: (self) => self.keys().map((key) => tuple(key, self.get(key) ?? null)),
  keys: (self) => [...self.keys()],
  values: (self) => self.keys().map((key) => self.get(key) ?? null),
  get: (self, args) => self.get(textAt(args, 0)) ?? args.positional[1] ?? null,
};

function bound<T>(table: Record<string, Method<T>>, self: T, name: string): Callable | undefined {
  const found = Object.hasOwn(table, name) ? table[name] : undefined;
  return found === undefined ? undefined : new Callable(name, (args) => found(self, args));
}

/** The method `name` of a value, bound to it, or undefined. */
export function method(self: Value, name: string): Callable | undefined {
  if (typeof self === "string") return bound(STRING, self, name);
  if (Array.isArray(self)) return bound(LIST, self, name);
  if (self instanceof Map) return bound(DICT, self, name);
  if (self instanceof LazyDict) return bound(LAZY, self, name);
  return undefined;
}
