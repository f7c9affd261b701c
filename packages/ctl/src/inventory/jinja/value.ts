/**
 * The values that templates work with, and how Python prints, compares and judges them: a template must print what Ansible
 * prints. Integers are JavaScript numbers, floats are `Float` (Python prints 1.0, JavaScript 1), dicts are Maps.
 */

/** An error at an offset of the template being read or rendered; `jinja.ts` turns it into a place. */
export class TemplateError extends Error {
  override readonly name = "TemplateError";
  readonly pos: number;
  /** The template, where it is not the one at hand. */
  readonly source: object | null;
  constructor(message: string, pos: number, source: object | null = null) {
    super(message);
    this.pos = pos;
    this.source = source;
  }
}

/** Where an undefined value came from: an offset in one template. */
export interface Origin {
  readonly pos: number;
  readonly source: object;
}

/** A wrong operation on values; the evaluator adds the offset, unless the fault lies where the value came from. */
export class ValueError extends Error {
  override readonly name = "ValueError";
  readonly origin: Origin | null;
  constructor(message: string, options: ErrorOptions & { origin?: Origin | null } = {}) {
    super(message, options);
    this.origin = options.origin ?? null;
  }
}

export class Float {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

/** A Python tuple: an array that prints with parentheses. */
export class Tuple extends Array<Value> {
  static override get [Symbol.species](): ArrayConstructor {
    return Array;
  }
}

/** A name, key or attribute that is not there. Any use but `is defined` and `default()` is an error with `message`. */
export class Undefined {
  readonly message: string;
  /** Set by the evaluator at the name that made it. */
  origin: Origin | null = null;
  constructor(message: string) {
    this.message = message;
  }
}

/** A `vault:<mount>/<path>#<field>` reference. Its value is known on the host only, so here it can be passed on and no more. */
export class Reference {
  readonly text: string;
  /** `file:line:column` of the variable, for messages. */
  readonly at: string;
  constructor(text: string, at: string) {
    this.text = text;
    this.at = at;
  }
}

export interface CallArguments {
  readonly positional: readonly Value[];
  readonly named: ReadonlyMap<string, Value>;
}

export class Callable {
  readonly name: string;
  readonly call: (args: CallArguments) => Value;
  constructor(name: string, call: (args: CallArguments) => Value) {
    this.name = name;
    this.call = call;
  }
}

/** A thing with attributes only: `loop`, `namespace()`, an imported template; `writable` for namespaces. */
export class Attributes {
  readonly kind: string;
  readonly writable: boolean;
  readonly values: Map<string, Value>;
  constructor(kind: string, values: Map<string, Value>, writable = false) {
    this.kind = kind;
    this.values = values;
    this.writable = writable;
  }
}

/** A dict whose values are made when asked for (`hostvars`): a fault in one host's variables must not hit the others. */
export class LazyDict {
  readonly keys: () => readonly string[];
  readonly get: (key: string) => Value | undefined;
  constructor(keys: () => readonly string[], get: (key: string) => Value | undefined) {
    this.keys = keys;
    this.get = get;
  }
}

export type Dict = Map<Value, Value>;
export type Value =
  | null
  | boolean
  | number
  | string
  | Float
  | Value[]
  | Dict
  | LazyDict
  | Undefined
  | Reference
  | Callable
  | Attributes;

/** Stops work on undefined values and references, wherever a value is really used. */
export function demand(value: Value): Exclude<Value, Undefined | Reference> {
  if (value instanceof Undefined) throw new ValueError(value.message, { origin: value.origin });
  if (value instanceof Reference) throw new ValueError(referenceMessage(value));
  return value;
}

/** Why a reference cannot be used yet. */
export function referenceMessage(reference: Reference): string {
  return `\`${reference.text}\` (${reference.at}) is a secret; secrets are not supported yet, so it cannot become part of a resource`;
}

export function isNumber(value: Value): value is number | boolean | Float {
  return typeof value === "number" || typeof value === "boolean" || value instanceof Float;
}

/** The number in an int, float or bool. */
export function numberOf(value: number | boolean | Float): number {
  return value instanceof Float ? value.value : Number(value);
}

export function typeName(value: Value): string {
  if (value === null) return "none";
  if (typeof value === "boolean") return "a boolean";
  if (typeof value === "number" || value instanceof Float) return "a number";
  if (typeof value === "string") return "a string";
  if (Array.isArray(value)) return "a list";
  if (value instanceof Map || value instanceof LazyDict) return "a map";
  if (value instanceof Attributes) return value.kind;
  if (value instanceof Undefined) return "undefined";
  return value instanceof Reference ? "a secret" : "a function";
}

/** Python's `bool()`; undefined throws. A reference counts as true: it stands for a text. */
export function truthy(value: Value): boolean {
  if (value instanceof Reference) return true;
  const known = demand(value);
  if (known === null || known === false || known === 0 || known === "") return false;
  if (known instanceof Float) return known.value !== 0;
  if (Array.isArray(known)) return known.length > 0;
  if (known instanceof Map) return known.size > 0;
  if (known instanceof LazyDict) return known.keys().length > 0;
  return true;
}

function floatText(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
  if (value === 0) return Object.is(value, -0) ? "-0.0" : "0.0";
  const size = Math.abs(value);
  if (size >= 1e16 || size < 1e-4) {
    return value.toExponential().replace(/e([+-])(\d)$/, "e$10$2");
  }
  return Number.isInteger(value) ? `${value}.0` : String(value);
}

function stringRepr(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  let body = "";
  for (const char of text) {
    const code = char.codePointAt(0) ?? 0;
    if (char === "\\" || char === quote) body += `\\${char}`;
    else if (char === "\n") body += "\\n";
    else if (char === "\t") body += "\\t";
    else if (char === "\r") body += "\\r";
    else if (code < 32 || code === 127) body += `\\x${code.toString(16).padStart(2, "0")}`;
    else body += char;
  }
  return quote + body + quote;
}

/** Python's `repr()`: how a value prints inside a list or dict. */
export function repr(value: Value): string {
  const known = demand(value);
  if (known === null) return "None";
  if (typeof known === "string") return stringRepr(known);
  if (known instanceof Tuple) return `(${[...known].map(repr).join(", ")}${known.length === 1 ? "," : ""})`;
  if (Array.isArray(known)) return `[${known.map(repr).join(", ")}]`;
  if (known instanceof Map) return `{${[...known].map(([k, v]) => `${repr(k)}: ${repr(v)}`).join(", ")}}`;
  return str(known);
}

/** Python's `str()`. */
export function str(value: Value): string {
  const known = demand(value);
  if (typeof known === "string") return known;
  if (known === true) return "True";
  if (known === false) return "False";
  if (typeof known === "number") return String(known);
  if (known instanceof Float) return floatText(known.value);
  if (known === null || Array.isArray(known) || known instanceof Map) return repr(known);
  if (known instanceof LazyDict)
    return repr(new Map(known.keys().map((key) => [key, known.get(key) ?? null])));
  throw new ValueError(`${typeName(known)} cannot be printed`);
}

/** Python's `==`. */
export function equal(left: Value, right: Value): boolean {
  const a = demand(left);
  const b = demand(right);
  if (isNumber(a) && isNumber(b)) return numberOf(a) === numberOf(b);
  if (Array.isArray(a) && Array.isArray(b))
    return (
      a.length === b.length &&
      a instanceof Tuple === b instanceof Tuple &&
      a.every((item, i) => equal(item, b[i] ?? null))
    );
  if (a instanceof Map && b instanceof Map)
    return (
      a.size === b.size &&
      [...a].every(([key, value]) => {
        const other = lookup(b, key);
        return other !== undefined && equal(value, other);
      })
    );
  return a === b;
}

/** Python's `<`, as -1, 0 or 1; throws for values that have no order. */
export function order(left: Value, right: Value): number {
  const a = demand(left);
  const b = demand(right);
  if (isNumber(a) && isNumber(b)) return Math.sign(numberOf(a) - numberOf(b));
  if (typeof a === "string" && typeof b === "string") return a < b ? -1 : a > b ? 1 : 0;
  if (Array.isArray(a) && Array.isArray(b)) {
    for (let i = 0; i < Math.min(a.length, b.length); i++) {
      const result = order(a[i] ?? null, b[i] ?? null);
      if (result !== 0) return result;
    }
    return Math.sign(a.length - b.length);
  }
  throw new ValueError(`${typeName(a)} and ${typeName(b)} have no order`);
}

/** A key as dicts keep it: Python's 1, 1.0 and True are one key. */
export function dictKey(key: Value): Value {
  const known = demand(key);
  if (known instanceof Float && Number.isInteger(known.value)) return known.value;
  if (known === null || typeof known === "string" || typeof known === "number" || typeof known === "boolean")
    return known;
  throw new ValueError(`${typeName(known)} cannot be a key`);
}

export function lookup(dict: Dict, key: Value): Value | undefined {
  return dict.get(dictKey(key));
}

/** The items of whatever a loop may run over: list, keys of a map, characters. */
export function iterate(value: Value): Value[] {
  const known = demand(value);
  if (Array.isArray(known)) return [...known];
  if (known instanceof Map) return [...known.keys()];
  if (known instanceof LazyDict) return [...known.keys()];
  if (typeof known === "string") return [...known];
  throw new ValueError(`${typeName(known)} cannot be looped over`);
}

export function tuple(...items: Value[]): Tuple {
  const made = new Tuple();
  for (const item of items) made.push(item);
  return made;
}
