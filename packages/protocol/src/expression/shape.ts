/** A schema as the tree of its fields, for paths that a person types. Pure. */

import { choicesOf, type JsonSchema } from "../json-schema.ts";

/** Single values: numbers, and which words, null = any. */
export type Plain = { readonly number: boolean; readonly words: readonly string[] | null };

/** What there is to ask for: the fields of an object by name; null = any name. */
export type Shape = {
  readonly fields: ReadonlyMap<string, Shape> | null;
  readonly any: Shape | null;
  readonly list: boolean;
  /** Null: none, or nothing is known of it. */
  readonly plain: Plain | null;
};

/** What may be asked, by the kind of telemetry; empty where last values are not asked for. */
export type Shapes = Readonly<Record<string, Shape>>;

/** Of a union all that any of its choices has. */
export function shapeOf(schema: JsonSchema): Shape {
  const fields = new Map<string, Shape>();
  let any: Shape | null = null;
  let list = false;
  for (const choice of choicesOf(schema)) {
    if (typeof choice.items === "object") {
      const inner = shapeOf(choice.items);
      for (const [name, shape] of inner.fields ?? []) fields.set(name, shape);
      any ??= inner.any;
      list = true;
    }
    for (const [name, field] of Object.entries(choice.properties ?? {})) fields.set(name, shapeOf(field));
    if (
      typeof choice.additionalProperties === "object" &&
      Object.keys(choice.additionalProperties).length > 0
    )
      any ??= shapeOf(choice.additionalProperties);
  }
  return { fields: fields.size === 0 ? null : fields, any, list, plain: plainOf(schema) };
}

/** What single values stand there, those of a list included. */
function plainOf(schema: JsonSchema): Plain | null {
  const found = choicesOf(schema).map((choice): Plain | null => {
    if (typeof choice.items === "object") return plainOf(choice.items);
    if (choice.type === "number" || choice.type === "integer") return { number: true, words: [] };
    if (choice.type === "boolean") return { number: false, words: ["true", "false"] };
    if (choice.type === "null") return { number: false, words: [] };
    const words = choice.enum ?? (choice.const === undefined ? null : [choice.const]);
    if (words !== null) return { number: false, words: words.map(String) };
    return choice.type === "string" ? { number: false, words: null } : null;
  });
  const all = found.filter((plain) => plain !== null);
  if (all.length < found.length) return null;
  const open = all.some(({ words }) => words === null);
  return {
    number: all.some(({ number }) => number),
    words: open ? null : [...new Set(all.flatMap(({ words }) => words ?? []))],
  };
}
