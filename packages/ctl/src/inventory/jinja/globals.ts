/** The functions that every template has: `range`, `dict`, `namespace`, and a clear word on those of Ansible that are refused. */
import { Attributes, Callable, Undefined, type Value, ValueError } from "./value.ts";

const MAX_RANGE = 100_000;

function range(bounds: readonly Value[]): Value {
  const numbers = bounds.map((bound) => {
    if (typeof bound !== "number") throw new ValueError("`range` wants whole numbers");
    return bound;
  });
  const [start, stop] = numbers.length > 1 ? [numbers[0] ?? 0, numbers[1] ?? 0] : [0, numbers[0] ?? 0];
  const step = numbers[2] ?? 1;
  if (step === 0) throw new ValueError("the step of `range` cannot be 0");
  const count = Math.max(0, Math.ceil((stop - start) / step));
  if (count > MAX_RANGE) throw new ValueError(`\`range\` of ${count} numbers; the limit is ${MAX_RANGE}`);
  return Array.from({ length: count }, (_, i) => start + i * step);
}

function refused(name: string): Callable {
  return new Callable(name, () => {
    throw new ValueError(`\`${name}\` does not exist here: a rendered folder depends on its files alone`);
  });
}

export const GLOBALS: ReadonlyMap<string, Value> = new Map<string, Value>([
  ["range", new Callable("range", ({ positional }) => range(positional))],
  ["dict", new Callable("dict", ({ named }) => new Map<Value, Value>(named))],
  [
    "namespace",
    new Callable("namespace", ({ named }) => new Attributes("a namespace", new Map(named), true)),
  ],
  ["lookup", refused("lookup")],
  ["query", refused("query")],
  ["now", refused("now")],
  [
    "undef",
    new Callable(
      "undef",
      ({ positional, named }) => new Undefined(String(positional[0] ?? named.get("hint") ?? "undefined")),
    ),
  ],
]);
