/**
 * The filters of Jinja2 on text and numbers, and Ansible's that configuration templates use. Filters on lists and maps are in
 * `collections.ts`. A filter on a secret is refused: its value is known on the host only.
 */
import { createHash } from "node:crypto";
import { COLLECTION_FILTERS } from "./collections.ts";
import { toJson } from "./json.ts";
import { formatPercent } from "./printf.ts";
import {
  demand,
  Float,
  isNumber,
  numberOf,
  Reference,
  str,
  truthy,
  typeName,
  Undefined,
  type Value,
  ValueError,
} from "./value.ts";

/** What a filter gets besides its value: bound arguments, and the means to call filters and tests by name. */
export interface FilterCall {
  readonly positional: readonly Value[];
  readonly named: ReadonlyMap<string, Value>;
  /** Argument number `index` or by name, else the fallback; a null fallback and no argument give null. */
  arg(index: number, name: string, fallback?: Value): Value;
  filter(name: string, value: Value, positional: readonly Value[], named: ReadonlyMap<string, Value>): Value;
  test(name: string, value: Value, args: readonly Value[]): boolean;
}

export type Filter = (value: Value, call: FilterCall) => Value;

export function textArg(call: FilterCall, index: number, name: string, fallback?: string): string {
  const value = call.arg(index, name, fallback);
  if (typeof value !== "string") throw new ValueError(`\`${name}\` must be a string`);
  return value;
}

export function wholeArg(call: FilterCall, index: number, name: string, fallback: number): number {
  const value = call.arg(index, name, fallback);
  if (typeof value !== "number") throw new ValueError(`\`${name}\` must be a whole number`);
  return value;
}

function regex(call: FilterCall, flags: string): RegExp {
  const source = textArg(call, 0, "regex").replaceAll("(?P<", "(?<");
  const insensitive = truthy(call.arg(2, "ignorecase", false)) ? "i" : "";
  const multiline = truthy(call.arg(3, "multiline", false)) ? "m" : "";
  try {
    return new RegExp(source, flags + insensitive + multiline);
  } catch (cause) {
    throw new ValueError(`not a regular expression: ${source}`, { cause });
  }
}

function indent(text: string, call: FilterCall): string {
  const width = call.arg(0, "width", 4);
  const pad = typeof width === "string" ? width : " ".repeat(Math.min(wholeArg(call, 0, "width", 4), 200));
  const first = truthy(call.arg(1, "first", false));
  const blank = truthy(call.arg(2, "blank", false));
  const lines = text.split("\n").map((line, i) => (i === 0 || (line === "" && !blank) ? line : pad + line));
  return (first ? pad : "") + lines.join("\n");
}

function toInteger(value: Value, call: FilterCall): Value {
  const base = wholeArg(call, 1, "base", 10);
  if (isNumber(value)) return Math.trunc(numberOf(value));
  const text = typeof value === "string" ? value.trim().replaceAll("_", "") : "";
  if (base === 10 && /^[-+]?\d+$/.test(text)) return Number(text);
  if (base === 10 && /^[-+]?\d*\.?\d+(?:e[-+]?\d+)?$/i.test(text)) return Math.trunc(Number(text));
  const digits = text.replace(/^0[xob]/i, "");
  const parsed = Number.parseInt(digits, base);
  if (base !== 10 && !Number.isNaN(parsed)) return parsed;
  return call.arg(0, "default", 0);
}

function round(value: Value, call: FilterCall): Value {
  if (!isNumber(value)) throw new ValueError(`\`round\` wants a number, not ${typeName(value)}`);
  const factor = 10 ** wholeArg(call, 0, "precision", 0);
  const how = textArg(call, 1, "method", "common");
  const scaled = numberOf(value) * factor;
  if (how === "ceil") return new Float(Math.ceil(scaled) / factor);
  if (how === "floor") return new Float(Math.floor(scaled) / factor);
  const floor = Math.floor(scaled);
  // Python rounds half to even.
  const even = floor % 2 === 0 ? floor : floor + 1;
  return new Float((scaled - floor === 0.5 ? even : Math.round(scaled)) / factor);
}

function wordwrap(text: string, width: number): string {
  const lines = text.split("\n").map((line) => {
    const made: string[] = [];
    let current = "";
    for (const word of line.split(/\s+/)) {
      if (current !== "" && current.length + 1 + word.length > width) {
        made.push(current);
        current = word;
      } else current = current === "" ? word : `${current} ${word}`;
    }
    return [...made, current].join("\n");
  });
  return lines.join("\n");
}

const HTML: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;" };

function bool(value: Value): boolean {
  if (typeof value === "boolean") return value;
  return ["yes", "on", "1", "true", "t", "y"].includes(str(value).toLowerCase());
}

const TEXT: Record<string, Filter> = {
  upper: (v) => str(v).toUpperCase(),
  lower: (v) => str(v).toLowerCase(),
  capitalize: (v) => str(v).charAt(0).toUpperCase() + str(v).slice(1).toLowerCase(),
  title: (v) =>
    str(v).replace(/[^\s\-({[<]+/gu, (word) => word.charAt(0).toUpperCase() + word.slice(1).toLowerCase()),
  trim: (v, c) => {
    const chars = c.arg(0, "chars", null);
    if (chars === null) return str(v).trim();
    const set = str(chars).replace(/[\\\]^-]/g, "\\$&");
    return str(v).replace(new RegExp(`^[${set}]+|[${set}]+$`, "g"), "");
  },
  replace: (v, c) => {
    const count = c.arg(2, "count", null);
    const [from, to] = [str(c.arg(0, "old")), str(c.arg(1, "new"))];
    if (typeof count !== "number") return str(v).replaceAll(from, () => to);
    const parts = str(v).split(from);
    return parts.length <= count + 1
      ? parts.join(to)
      : [...parts.slice(0, count), parts.slice(count).join(from)].join(to);
  },
  indent: (v, c) => indent(str(v), c),
  center: (v, c) => {
    const [text, width] = [str(v), Math.min(wholeArg(c, 0, "width", 80), 1000)];
    const pad = width - text.length;
    const left = Math.floor(pad / 2) + (pad & width & 1);
    return pad <= 0 ? text : " ".repeat(left) + text + " ".repeat(pad - left);
  },
  wordcount: (v) => (str(v).match(/[\p{L}\p{N}_]+/gu) ?? []).length,
  wordwrap: (v, c) => wordwrap(str(v), wholeArg(c, 0, "width", 79)),
  truncate: (v, c) => {
    const [text, length] = [str(v), wholeArg(c, 0, "length", 255)];
    const [end, leeway] = [textArg(c, 2, "end", "..."), wholeArg(c, 3, "leeway", 5)];
    if (text.length <= length + leeway) return text;
    const cut = text.slice(0, length - end.length);
    if (truthy(c.arg(1, "killwords", false))) return cut + end;
    return (cut.includes(" ") ? cut.slice(0, cut.lastIndexOf(" ")) : cut) + end;
  },
  format: (v, c) => formatPercent(str(v), c.named.size > 0 ? [new Map<Value, Value>(c.named)] : c.positional),
  string: (v) => str(v),
  safe: (v) => v,
  escape: (v) => str(v).replace(/[&<>"']/g, (char) => HTML[char] ?? char),
  urlencode: (v) => encodeURIComponent(str(v)).replaceAll("%2F", "/"),
  int: toInteger,
  float: (v, c) => {
    if (isNumber(v)) return new Float(numberOf(v));
    const number = typeof v === "string" && v.trim() !== "" ? Number(v) : Number.NaN;
    return Number.isNaN(number) ? c.arg(0, "default", new Float(0)) : new Float(number);
  },
  abs: (v) => {
    if (!isNumber(v)) throw new ValueError(`\`abs\` wants a number, not ${typeName(v)}`);
    return v instanceof Float ? new Float(Math.abs(v.value)) : Math.abs(numberOf(v));
  },
  round,
  tojson: (v) => toJson(v, null, true).replace(/[<>&']/g, (c) => `\\u00${c.charCodeAt(0).toString(16)}`),
  to_json: (v, c) => toJson(v, null, truthy(c.arg(0, "sort_keys", false))),
  to_nice_json: (v, c) => toJson(v, wholeArg(c, 0, "indent", 4), truthy(c.arg(1, "sort_keys", true))),
  bool: (v) => bool(v),
  ternary: (v, c) => {
    const whenNull = c.arg(2, "none_val", null);
    if (v === null && whenNull !== null) return whenNull;
    return truthy(v) ? c.arg(0, "true_val") : c.arg(1, "false_val");
  },
  regex_replace: (v, c) => {
    const to = textArg(c, 1, "replacement", "");
    const replacement = to
      .replaceAll("$", "$$$$")
      .replace(/\\g<(\w+)>|\\(\d)/g, (_, name: string, n: string) =>
        n === undefined ? `$<${name}>` : `$${n}`,
      );
    return str(v).replace(regex(c, "g"), replacement);
  },
  regex_search: (v, c) =>
    regex({ ...c, arg: (i, n, f) => (i > 1 ? (c.named.get(n) ?? f ?? null) : c.arg(i, n, f)) }, "").exec(
      str(v),
    )?.[0] ?? null,
  regex_findall: (v, c) => [...str(v).matchAll(regex(c, "g"))].map((found) => found[1] ?? found[0]),
  regex_escape: (v) => str(v).replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&"),
  split: (v, c) => {
    const by = c.arg(0, "sep", null);
    return by === null ? str(v).trim().split(/\s+/) : str(v).split(str(by));
  },
  quote: (v) => (/^[\w@%+=:,./-]+$/.test(str(v)) ? str(v) : `'${str(v).replaceAll("'", `'"'"'`)}'`),
  comment: (v) => {
    const lines = str(v)
      .split("\n")
      .map((line) => (line === "" ? "#" : `# ${line}`));
    return ["#", ...lines, "#"].join("\n");
  },
  basename: (v) => str(v).slice(str(v).lastIndexOf("/") + 1),
  dirname: (v) => str(v).slice(0, Math.max(0, str(v).lastIndexOf("/"))),
  b64encode: (v) => Buffer.from(str(v), "utf8").toString("base64"),
  b64decode: (v) => Buffer.from(str(v), "base64").toString("utf8"),
  hash: (v, c) => {
    const name = textArg(c, 0, "hashtype", "sha1");
    if (!["md5", "sha1", "sha256", "sha512"].includes(name))
      throw new ValueError(`\`hash\` does not know ${name}`);
    return createHash(name).update(str(v)).digest("hex");
  },
};

const FILTERS: Record<string, Filter> = { ...TEXT, ...COLLECTION_FILTERS };
const ALIASES: Record<string, string> = { d: "default", e: "escape", count: "length" };

export const FILTER_NAMES: readonly string[] = [
  "default",
  "mandatory",
  ...Object.keys(FILTERS),
  ...Object.keys(ALIASES),
];

/** The filter of that name, or undefined. `default` alone may see what is not there, and pass a secret on. */
export function filter(name: string): Filter | undefined {
  const key = Object.hasOwn(ALIASES, name) ? (ALIASES[name] ?? name) : name;
  if (key === "default")
    return (value, call) => {
      const absent = value instanceof Undefined || (truthy(call.arg(1, "boolean", false)) && !truthy(value));
      return absent ? call.arg(0, "default_value", "") : value;
    };
  if (key === "mandatory") return (value) => demand(value);
  const found = Object.hasOwn(FILTERS, key) ? FILTERS[key] : undefined;
  if (found === undefined) return undefined;
  return (value, call) => {
    if (value instanceof Reference)
      throw new ValueError(
        `\`${value.text}\` (${value.at}) is a secret: no filter can work on it, its value is known on the host only`,
      );
    return found(demand(value), call);
  };
}
