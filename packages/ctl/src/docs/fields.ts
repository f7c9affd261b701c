/** A JSON Schema as the rows of a table: every field with its path, form, default and meaning. Pure. */
import { choicesOf, descriptionOf, type JsonSchema } from "@muster/protocol/json-schema";

export type Field = {
  /** `expect.NAME.import_min`, `troubles[].ref` */
  readonly path: string;
  /** `text`, `integer ≥ 0`, `running, stopped`, `list of text` */
  readonly form: string;
  /** `required`, `-` for what may be left out, or the value that stands then, as JSON. */
  readonly otherwise: string;
  readonly meaning: string;
};

const WORDS: Readonly<Record<string, string>> = {
  string: "text",
  integer: "integer",
  number: "number",
  boolean: "true, false",
  null: "null",
  object: "map",
};

/** Fields of an object, those of inner objects behind it. The choices of a union stand under one path. */
export function fieldsOf(schema: JsonSchema, path = ""): Field[] {
  const rows: Field[] = [];
  const add = (more: Field[]): void => {
    // Choices of a union often share fields (`within`): once is enough.
    for (const row of more)
      if (!rows.some((each) => each.path === row.path && each.form === row.form)) rows.push(row);
  };
  for (const choice of choicesOf(schema)) {
    for (const [name, field] of Object.entries(choice.properties ?? {})) {
      const inner = path === "" ? name : `${path}.${name}`;
      add([rowOf(inner, field, choice.required?.includes(name) ?? false)]);
      add(fieldsOf(field, inner));
    }
    if (typeof choice.items === "object") add(fieldsOf(choice.items, `${path}[]`));
    if (typeof choice.additionalProperties === "object")
      add(fieldsOf(choice.additionalProperties, path === "" ? "NAME" : `${path}.NAME`));
  }
  return rows;
}

function rowOf(path: string, field: JsonSchema, required: boolean): Field {
  const otherwise = field.default !== undefined ? JSON.stringify(field.default) : required ? "required" : "-";
  return { path, form: formOf(field), otherwise, meaning: descriptionOf(field) ?? "" };
}

/** What may stand there, in words. */
export function formOf(schema: JsonSchema): string {
  const choices = choicesOf(schema);
  if (choices.length > 1) return [...new Set(choices.map(formOf))].join(" or ");
  if (schema.see !== undefined) return `see ${schema.see}`;
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return schema.enum.map(String).join(", ");
  if (schema.not !== undefined) return "nothing";
  const { type } = schema;
  if (Array.isArray(type)) return type.map((each) => WORDS[each] ?? each).join(" or ");
  if (type === "array") {
    const of = schema.prefixItems ?? [schema.items];
    return `list of ${[...new Set(of.map((each) => (typeof each === "object" ? formOf(each) : "anything")))].join(", ")}`;
  }
  if (type === "object") {
    const { properties, additionalProperties: rest } = schema;
    if (properties !== undefined && Object.keys(properties).length > 0)
      return `{ ${Object.keys(properties).join(", ")} }`;
    return typeof rest === "object" ? `map of ${formOf(rest)}` : "map";
  }
  const word = type === undefined ? "anything" : (WORDS[type] ?? type);
  return `${word}${limitsOf(schema)}`;
}

const SAFE = Number.MAX_SAFE_INTEGER;

function limitsOf({ minimum, maximum, format }: JsonSchema): string {
  const low = minimum !== undefined && minimum > -SAFE ? minimum : undefined;
  const high = maximum !== undefined && maximum < SAFE && maximum < 8e15 ? maximum : undefined;
  if (low !== undefined && high !== undefined) return ` ${low} to ${high}`;
  if (low !== undefined && low !== 0) return ` ≥ ${low}`;
  if (high !== undefined) return ` ≤ ${high}`;
  return format === undefined || ["safeint", "starts_with"].includes(format) ? "" : ` (${format})`;
}
