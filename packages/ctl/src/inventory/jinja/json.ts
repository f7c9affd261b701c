/** Values as JSON text, spaced as Python's `json.dumps` does. */
import { demand, Float, iterate, LazyDict, str, Tuple, typeName, type Value, ValueError } from "./value.ts";

function quoted(text: string): string {
  // json.dumps escapes everything outside ASCII.
  return JSON.stringify(text).replace(
    /[\u007f-\uffff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function keyText(key: Value): string {
  if (typeof key === "string") return key;
  if (key === null) return "null";
  return typeof key === "boolean" ? String(key) : str(key);
}

/** JSON text; `indent` null is one line with `, ` and `: `. */
export function toJson(value: Value, indent: number | null, sortKeys: boolean, depth = 0): string {
  const known = demand(value);
  const inner = indent === null ? "" : `\n${" ".repeat(indent * (depth + 1))}`;
  const outer = indent === null ? "" : `\n${" ".repeat(indent * depth)}`;
  const glue = indent === null ? ", " : `,${inner}`;
  if (known === null) return "null";
  if (typeof known === "string") return quoted(known);
  if (typeof known === "boolean") return String(known);
  if (typeof known === "number" || known instanceof Float) return str(known);
  if (Array.isArray(known)) {
    if (known.length === 0) return "[]";
    const items = known instanceof Tuple ? [...known] : known;
    return `[${inner}${items.map((item) => toJson(item, indent, sortKeys, depth + 1)).join(glue)}${outer}]`;
  }
  if (known instanceof Map || known instanceof LazyDict) {
    const entries = iterate(known).map((key) => {
      const of = known instanceof Map ? known.get(key) : known.get(str(key));
      return [keyText(key), of ?? null] as const;
    });
    if (entries.length === 0) return "{}";
    if (sortKeys) entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    const parts = entries.map(([key, of]) => `${quoted(key)}: ${toJson(of, indent, sortKeys, depth + 1)}`);
    return `{${inner}${parts.join(glue)}${outer}}`;
  }
  throw new ValueError(`${typeName(known)} has no JSON form`);
}
