/** The filters of Jinja2 on lists and maps, and Ansible's that configuration templates use. */
import type { Filter, FilterCall } from "./filters.ts";
import { binary, compare, item as itemOf } from "./operators.ts";
import {
  Attributes,
  type Dict,
  demand,
  equal,
  iterate,
  LazyDict,
  order,
  str,
  truthy,
  tuple,
  typeName,
  Undefined,
  type Value,
  ValueError,
} from "./value.ts";

function dictOf(value: Value): Dict {
  const known = demand(value);
  if (known instanceof Map) return known;
  if (known instanceof LazyDict) return new Map(known.keys().map((key) => [key, known.get(key) ?? null]));
  throw new ValueError(`expected a map, found ${typeName(known)}`);
}

/** `a.b.0` of a value; missing parts give undefined or the fallback. */
function path(value: Value, attribute: Value, fallback: Value | undefined = undefined): Value {
  let current = value;
  for (const part of typeof attribute === "string" ? attribute.split(".") : [attribute]) {
    const key = typeof part === "string" && /^\d+$/.test(part) ? Number(part) : part;
    current = itemOf(current, key, str(attribute));
    if (current instanceof Undefined) return fallback ?? current;
  }
  return current;
}

/** How sort, groupby, unique, min and max compare: by attribute, strings without regard to case unless asked. */
function sortKey(call: FilterCall, attribute: Value, caseSensitive: boolean): (item: Value) => Value {
  const fold = (value: Value) => (typeof value === "string" && !caseSensitive ? value.toLowerCase() : value);
  if (attribute === null) return fold;
  const parts = typeof attribute === "string" ? attribute.split(",") : [attribute];
  const fallback = call.named.get("default");
  if (parts.length === 1) return (item) => fold(path(item, parts[0] ?? null, fallback));
  return (item) => parts.map((part) => fold(path(item, part, fallback)));
}

function sorted(items: Value[], key: (item: Value) => Value, reverse: boolean): Value[] {
  const keyed = items.map((item) => ({ item, key: key(item) }));
  const sign = reverse ? -1 : 1;
  return keyed.sort((a, b) => sign * order(a.key, b.key)).map(({ item }) => item);
}

function unique(items: Value[], key: (item: Value) => Value): Value[] {
  const seen: Value[] = [];
  return items.filter((item) => {
    const value = key(item);
    if (seen.some((other) => equal(other, value))) return false;
    seen.push(value);
    return true;
  });
}

function extreme(value: Value, call: FilterCall, sign: number): Value {
  const key = sortKey(call, call.arg(1, "attribute", null), truthy(call.arg(0, "case_sensitive", false)));
  const items = iterate(value);
  let best = items[0];
  if (best === undefined) return new Undefined("an empty list has no smallest or largest item");
  for (const item of items) if (sign * order(key(item), key(best)) > 0) best = item;
  return best;
}

function selected(value: Value, call: FilterCall, keep: boolean, byAttribute: boolean): Value[] {
  const rest = byAttribute ? call.positional.slice(1) : call.positional;
  const [name, ...args] = rest;
  return iterate(value).filter((item) => {
    const subject = byAttribute ? path(item, call.arg(0, "attribute")) : item;
    const result = name === undefined ? truthy(subject) : call.test(str(name), subject, args);
    return result === keep;
  });
}

function mapped(value: Value, call: FilterCall): Value[] {
  const attribute = call.named.get("attribute");
  if (attribute !== undefined) {
    const fallback = call.named.get("default");
    return iterate(value).map((item) => path(item, attribute, fallback));
  }
  const [name, ...args] = call.positional;
  if (name === undefined) throw new ValueError("`map` wants the name of a filter or `attribute=`");
  return iterate(value).map((item) => call.filter(str(name), item, args, call.named));
}

function groupby(value: Value, call: FilterCall): Value[] {
  const key = sortKey(call, call.arg(0, "attribute"), truthy(call.arg(2, "case_sensitive", false)));
  const groups: { key: Value; grouper: Value; list: Value[] }[] = [];
  for (const item of sorted(iterate(value), key, false)) {
    const last = groups.at(-1);
    if (last !== undefined && equal(last.key, key(item))) last.list.push(item);
    else
      groups.push({
        key: key(item),
        grouper: path(item, call.arg(0, "attribute"), call.named.get("default")),
        list: [item],
      });
  }
  return groups.map(({ grouper, list }) => tuple(grouper, list));
}

function batch(value: Value, call: FilterCall): Value[] {
  const size = call.arg(0, "linecount");
  const fill = call.arg(1, "fill_with", null);
  if (typeof size !== "number" || size < 1) throw new ValueError("`batch` wants a whole number over 0");
  const items = iterate(value);
  const rows: Value[][] = [];
  for (let i = 0; i < items.length; i += size) rows.push(items.slice(i, i + size));
  const last = rows.at(-1);
  while (fill !== null && last !== undefined && last.length < size) last.push(fill);
  return rows;
}

function flattened(value: Value, levels: number): Value[] {
  return iterate(value).flatMap((item) =>
    Array.isArray(item) && levels !== 0 ? flattened(item, levels - 1) : [item],
  );
}

function combine(base: Dict, over: Dict, recursive: boolean): Dict {
  const made = new Map(base);
  for (const [key, value] of over) {
    const old = made.get(key);
    made.set(
      key,
      recursive && old instanceof Map && value instanceof Map ? combine(old, value, true) : value,
    );
  }
  return made;
}

function firstOf(items: readonly Value[]): Value {
  const item = items[0];
  return item === undefined ? new Undefined("an empty list has no first or last item") : item;
}

function length(value: Value): number {
  if (value instanceof Attributes) throw new ValueError(`${value.kind} has no length`);
  return iterate(value).length;
}

const has = (list: Value, item: Value) => compare("in", item, list);
const same = (item: Value) => item;

export const COLLECTION_FILTERS: Record<string, Filter> = {
  length,
  first: (v) => firstOf(iterate(v)),
  last: (v) => firstOf(iterate(v).reverse()),
  list: (v) => iterate(v),
  join: (v, c) => {
    const attribute = c.arg(1, "attribute", null);
    const items = iterate(v).map((item) => (attribute === null ? item : path(item, attribute)));
    return items.map(str).join(str(c.arg(0, "d", "")));
  },
  reverse: (v) => (typeof v === "string" ? [...v].reverse().join("") : iterate(v).reverse()),
  sort: (v, c) => {
    const key = sortKey(c, c.arg(2, "attribute", null), truthy(c.arg(1, "case_sensitive", false)));
    return sorted(iterate(v), key, truthy(c.arg(0, "reverse", false)));
  },
  dictsort: (v, c) => {
    const at = c.arg(1, "by", "key") === "value" ? 1 : 0;
    const fold = sortKey(c, null, truthy(c.arg(0, "case_sensitive", false)));
    const pairs = [...dictOf(v)].map(([key, value]) => tuple(key, value));
    return sorted(
      pairs,
      (pair) => fold(Array.isArray(pair) ? (pair[at] ?? null) : null),
      truthy(c.arg(2, "reverse", false)),
    );
  },
  items: (v) => [...dictOf(v)].map(([key, value]) => tuple(key, value)),
  unique: (v, c) =>
    unique(iterate(v), sortKey(c, c.arg(1, "attribute", null), truthy(c.arg(0, "case_sensitive", false)))),
  min: (v, c) => extreme(v, c, -1),
  max: (v, c) => extreme(v, c, 1),
  sum: (v, c) => {
    const attribute = c.arg(0, "attribute", null);
    let total: Value = c.arg(1, "start", 0);
    for (const item of iterate(v))
      total = binary("+", total, attribute === null ? item : path(item, attribute));
    return total;
  },
  map: mapped,
  select: (v, c) => selected(v, c, true, false),
  reject: (v, c) => selected(v, c, false, false),
  selectattr: (v, c) => selected(v, c, true, true),
  rejectattr: (v, c) => selected(v, c, false, true),
  groupby,
  batch,
  attr: (v, c) => path(v, c.arg(0, "name")),
  flatten: (v, c) => {
    const levels = c.arg(0, "levels", null);
    return flattened(v, typeof levels === "number" ? levels : -1);
  },
  combine: (v, c) => {
    const recursive = truthy(c.named.get("recursive") ?? false);
    return c.positional.reduce<Dict>((made, over) => combine(made, dictOf(over), recursive), dictOf(v));
  },
  dict2items: (v, c) => {
    const [key, value] = [str(c.arg(0, "key_name", "key")), str(c.arg(1, "value_name", "value"))];
    return [...dictOf(v)].map(
      ([k, of]) =>
        new Map<Value, Value>([
          [key, k],
          [value, of],
        ]),
    );
  },
  items2dict: (v, c) => {
    const [key, value] = [str(c.arg(0, "key_name", "key")), str(c.arg(1, "value_name", "value"))];
    return new Map(iterate(v).map((pair) => [demand(path(pair, key)), path(pair, value)]));
  },
  union: (v, c) => unique([...iterate(v), ...iterate(c.arg(0, "list"))], same),
  intersect: (v, c) => unique(iterate(v), same).filter((item) => has(c.arg(0, "list"), item)),
  difference: (v, c) => unique(iterate(v), same).filter((item) => !has(c.arg(0, "list"), item)),
  symmetric_difference: (v, c) => {
    const [left, right] = [unique(iterate(v), same), unique(iterate(c.arg(0, "list")), same)];
    return [...left.filter((item) => !has(right, item)), ...right.filter((item) => !has(left, item))];
  },
  zip: (v, c) => {
    const lists = [iterate(v), ...c.positional.map((list) => iterate(list))];
    const size = Math.min(...lists.map((list) => list.length));
    return Array.from({ length: size }, (_, i) => tuple(...lists.map((list) => list[i] ?? null)));
  },
  extract: (v, c) => {
    const found = itemOf(c.arg(0, "container"), v, str(v));
    const more = c.arg(1, "morekeys", null);
    return more === null ? found : path(found, more);
  },
};
