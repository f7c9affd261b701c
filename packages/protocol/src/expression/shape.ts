/** A schema as the tree of its fields, for paths that a person types. Pure. */

import { choicesOf, type JsonSchema } from "../json-schema.ts";
import type { Shape } from "./values.ts";

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
  return { fields: fields.size === 0 ? null : fields, any, list };
}
