/**
 * The schemas of the protocol as JSON Schema (2020-12), the form from which the reference, `ctl docs` and the schemas for editors are made. Pure.
 */
import { z } from "zod";

/** The part of JSON Schema that zod writes. */
export type JsonSchema = {
  $schema?: string;
  $id?: string;
  $ref?: string;
  $defs?: Record<string, JsonSchema>;
  title?: string;
  type?: string | string[];
  description?: string;
  default?: unknown;
  const?: unknown;
  enum?: unknown[];
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  allOf?: JsonSchema[];
  not?: JsonSchema;
  properties?: Record<string, JsonSchema>;
  required?: string[];
  additionalProperties?: JsonSchema | boolean;
  propertyNames?: JsonSchema;
  items?: JsonSchema | boolean;
  prefixItems?: JsonSchema[];
  pattern?: string;
  format?: string;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  /** Ours: described under this title elsewhere, and not opened again. */
  see?: string;
};

/**
 * @param io `input` for what a person or a caller writes (defaults may be left out), `output` for what is told
 * @param elsewhere schemas that are described in a place of their own, with its title
 */
export function jsonSchemaOf(
  schema: z.ZodType,
  io: "input" | "output" = "input",
  elsewhere: ReadonlyMap<z.ZodType, string> = new Map(),
): JsonSchema {
  return z.toJSONSchema(schema, {
    io,
    unrepresentable: "any",
    override({ zodSchema: each, jsonSchema }) {
      const zodSchema = each as unknown as z.ZodType;
      const title = titleOf(zodSchema, elsewhere);
      if (title === undefined || zodSchema === schema) return;
      for (const key of Object.keys(jsonSchema)) delete (jsonSchema as Record<string, unknown>)[key];
      Object.assign(jsonSchema, { see: title });
    },
  }) as JsonSchema;
}

/** `describe` makes a copy whose parent is the original. */
function titleOf(schema: unknown, elsewhere: ReadonlyMap<z.ZodType, string>): string | undefined {
  for (let each = schema as z.ZodType | undefined; each !== undefined; each = each._zod.parent as never) {
    const title = elsewhere.get(each);
    if (title !== undefined) return title;
  }
  return undefined;
}

/** The choices of a union, those of a nested one included; the schema itself when it is none. */
export function choicesOf(schema: JsonSchema): JsonSchema[] {
  const choices = schema.anyOf ?? schema.oneOf;
  return choices === undefined ? [schema] : choices.flatMap(choicesOf);
}

/** What a field is for: its own words, else those of its type where only `null` stands beside it. */
export function descriptionOf(schema: JsonSchema): string | undefined {
  if (schema.description !== undefined) return schema.description;
  const [only, ...more] = choicesOf(schema).filter((choice) => choice !== schema && choice.type !== "null");
  return more.length === 0 ? only?.description : undefined;
}

/** Paths of the fields that say nothing about themselves, for the check that there are none. */
export function undescribed(schema: JsonSchema, path = ""): string[] {
  const here = Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const inner = path === "" ? name : `${path}.${name}`;
    const silent =
      descriptionOf(field) === undefined && field.see === undefined && field.const === undefined
        ? choicesOf(field).every((choice) => choice.see === undefined)
        : false;
    return [...(silent ? [inner] : []), ...undescribed(field, inner)];
  });
  const inside = [
    ...(schema.anyOf ?? schema.oneOf ?? []).map((choice) => [choice, path] as const),
    ...(typeof schema.items === "object" ? [[schema.items, `${path}[]`] as const] : []),
    ...(typeof schema.additionalProperties === "object"
      ? [[schema.additionalProperties, `${path}.*`] as const]
      : []),
  ];
  return [...new Set([...here, ...inside.flatMap(([inner, at]) => undescribed(inner, at))])];
}
