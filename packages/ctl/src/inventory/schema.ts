/**
 * JSON Schemas of the folder's files, for editors (`# yaml-language-server: $schema=…`) and `ctl docs`. They say what one file may hold; what only the
 * whole folder shows (a field that no file gives, a template that is not there) is `ctl plan`'s to say. Pure.
 */

import { type JsonSchema, jsonSchemaOf } from "@muster/protocol/json-schema";
import { KINDS, type Kind } from "@muster/protocol/resources/index";
import { AlertsFile } from "./alerts.ts";
import { CommonFields, FORMS, MusterFile } from "./forms.ts";
import { MonitoringFile } from "./monitoring.ts";

/** Where the schemas lie below the folder. */
export const SCHEMA_FILES = {
  muster: ".schema/muster.json",
  resources: ".schema/resources.json",
  alerts: ".schema/alerts.json",
  monitoring: ".schema/monitoring.json",
} as const;

const DRAFT = "https://json-schema.org/draft/2020-12/schema";

export const musterSchema = (): JsonSchema => ({ title: "muster.yml", ...jsonSchemaOf(MusterFile) });

export const alertsSchema = (): JsonSchema => ({ title: "alerts.yml", ...jsonSchemaOf(AlertsFile) });

export const monitoringSchema = (): JsonSchema => ({
  title: "monitoring.yml",
  ...jsonSchemaOf(MonitoringFile),
});

export function resourcesSchema(): JsonSchema {
  const kinds = Object.keys(KINDS) as Kind[];
  return {
    $schema: DRAFT,
    title: "resources/<group or host>.yml",
    type: "object",
    additionalProperties: false,
    properties: Object.fromEntries(
      kinds.map((kind) => [
        kind,
        {
          ...(KINDS[kind].spec.description === undefined
            ? {}
            : { description: KINDS[kind].spec.description }),
          type: "object",
          propertyNames: jsonSchemaBody(KINDS[kind].name),
          additionalProperties: { $ref: `#/$defs/${kind}` },
        },
      ]),
    ),
    $defs: {
      template: {
        description: "Rendered for each host.",
        type: "string",
        pattern: "\\{[{%]",
      },
      ...Object.fromEntries(kinds.map((kind) => [kind, writable(kind)])),
    },
  };
}

/** The fields of one kind as a person writes them, with those of every kind; defaults and requirements are kept. */
export function folderSchema(kind: Kind): JsonSchema {
  const { fields = {}, without = [], one_of = [] } = FORMS[kind] ?? {};
  const own = jsonSchemaBody(KINDS[kind].spec);
  const properties: Record<string, JsonSchema> = Object.fromEntries(
    Object.entries(fields).map(([name, schema]) => [name, jsonSchemaBody(schema)]),
  );
  for (const [name, schema] of Object.entries(own.properties ?? {}))
    if (!without.includes(name)) properties[name] ??= schema;
  return {
    ...own,
    properties: { ...properties, ...jsonSchemaBody(CommonFields).properties },
    required: (own.required ?? []).filter((name) => !without.includes(name) && !one_of.includes(name)),
  };
}

/** The same as one file may have it: parts of it, templates in place of values, null to drop a field. */
function writable(kind: Kind): JsonSchema {
  const { one_of = [], short } = FORMS[kind] ?? {};
  const { description: _, ...map } = loosened(folderSchema(kind), false);
  const pairs = one_of.flatMap((first, at) => one_of.slice(at + 1).map((second) => [first, second]));
  if (pairs.length > 0) map.not = { anyOf: pairs.map((required) => ({ required })) };
  return short === undefined ? map : { anyOf: [map, jsonSchemaBody(short), { $ref: "#/$defs/template" }] };
}

/** Maps are merged over files, so nothing in them is required of one file; lists are replaced, so inside of one it is. */
function loosened(schema: JsonSchema, in_list: boolean): JsonSchema {
  const { required, properties, items, additionalProperties: rest, anyOf, ...more } = schema;
  const out: JsonSchema = { ...more };
  if (in_list && required !== undefined) out.required = required;
  if (properties !== undefined)
    out.properties = Object.fromEntries(
      Object.entries(properties).map(([name, field]) => [name, value(field, in_list)]),
    );
  if (rest !== undefined) out.additionalProperties = typeof rest === "object" ? value(rest, in_list) : rest;
  if (items !== undefined) out.items = typeof items === "object" ? value(items, true) : items;
  if (anyOf !== undefined) out.anyOf = anyOf.map((choice) => loosened(choice, in_list));
  return out;
}

/** A value may be written as a template, and as null, which drops the field of a more general file. */
function value(schema: JsonSchema, in_list: boolean): JsonSchema {
  const inner = loosened(schema, in_list);
  const { description, default: otherwise, ...rest } = inner;
  return {
    ...(description === undefined ? {} : { description }),
    ...(otherwise === undefined ? {} : { default: otherwise }),
    anyOf: [rest, { $ref: "#/$defs/template" }, ...(in_list ? [] : [{ type: "null" }])],
  };
}

function jsonSchemaBody(schema: Parameters<typeof jsonSchemaOf>[0]): JsonSchema {
  const { $schema: _, ...body } = jsonSchemaOf(schema);
  return body;
}
