/** A spec against the schema of its kind: what the schema says, in the words and at the places of the file. */
import { KINDS, type Kind } from "@muster/protocol/resources/index";
import type { z } from "zod";
import { CommonFields } from "./forms.ts";
import { type Place, suggest } from "./problem.ts";
import { type Entry, type MapNode, nodeText, type YamlNode } from "./yaml.ts";

export interface SpecFault {
  readonly at: Place;
  readonly message: string;
  readonly hint?: string;
}

type Def = Record<string, unknown> & { type?: string };

function defOf(schema: unknown): Def {
  if (typeof schema !== "object" || schema === null || !("def" in schema)) return {};
  return typeof schema.def === "object" && schema.def !== null ? (schema.def as Def) : {};
}

/** The field names that a schema knows at a path; empty where any name goes. */
function keysAt(schema: unknown, path: readonly PropertyKey[]): string[] {
  const def = defOf(schema);
  if (def.innerType !== undefined) return keysAt(def.innerType, path);
  if (def.type === "union" && Array.isArray(def.options))
    return def.options.flatMap((option) => keysAt(option, path));
  const [first, ...rest] = path;
  if (def.type === "record" && first !== undefined) return keysAt(def.valueType, rest);
  if (def.type !== "object" || typeof def.shape !== "object" || def.shape === null) return [];
  const shape = def.shape as Record<string, unknown>;
  return first === undefined ? Object.keys(shape) : keysAt(shape[String(first)], rest);
}

function nodeAt(
  fields: MapNode,
  path: readonly PropertyKey[],
): { node: YamlNode; keyAt: Place; depth: number } {
  let node: YamlNode = fields;
  let keyAt = fields.at;
  let depth = 0;
  for (const part of path) {
    const entry: Entry | undefined = node.t === "map" ? node.entries.get(String(part)) : undefined;
    const next: YamlNode | undefined = node.t === "list" ? node.items[Number(part)] : entry?.value;
    if (next === undefined) break;
    keyAt = entry?.at ?? next.at;
    node = next;
    depth += 1;
  }
  return { node, keyAt, depth };
}

/**
 * Checks a spec and gives it back with its defaults.
 *
 * @param fields the fields as written, for places
 * @param extra names that only the folder's form has, for suggestions
 * @param failed fields that could not be rendered: their faults are known already
 */
export function checkSpec(
  kind: Kind,
  what: string,
  spec: Record<string, unknown>,
  fields: MapNode,
  at: Place,
  extra: readonly string[],
  failed: ReadonlySet<string>,
): { spec: unknown; faults: SpecFault[] } {
  const common = [...Object.keys(CommonFields.shape), ...extra];
  return checkFields(KINDS[kind].spec, what, spec, fields, at, common, failed);
}

/**
 * Names and specs of one folder that their schemas took: hosts of a group have the same, and each is checked once. Hosts then share the spec, which nobody changes.
 */
export class Checked {
  readonly #names = new Set<string>();
  readonly #specs = new Map<string, unknown>();

  /** What is wrong with a name; null when nothing is. */
  nameFault(kind: Kind, name: string): string | null {
    const ref = `${kind}/${name}`;
    if (this.#names.has(ref)) return null;
    const { error } = KINDS[kind].name.safeParse(name);
    if (error !== undefined) return error.issues[0]?.message ?? "wrong form";
    this.#names.add(ref);
    return null;
  }

  /** As `checkSpec`. */
  spec(...given: Parameters<typeof checkSpec>): ReturnType<typeof checkSpec> {
    const [kind, , spec, , , , failed] = given;
    const text = failed.size > 0 ? null : textOf(kind, spec);
    if (text === null) return checkSpec(...given);
    const known = this.#specs.get(text);
    if (known !== undefined) return { spec: known, faults: [] };
    const checked = checkSpec(...given);
    if (checked.spec !== null && checked.faults.length === 0) this.#specs.set(text, checked.spec);
    return checked;
  }
}

/** The same for the same spec and for no other; null for one with a number that JSON writes as another value. */
function textOf(kind: Kind, spec: Record<string, unknown>): string | null {
  let exact = true;
  const text = JSON.stringify([kind, spec], (_key, value: unknown) => {
    if (value === undefined || (typeof value === "number" && !Number.isFinite(value))) exact = false;
    return value;
  });
  return exact ? text : null;
}

/** As `checkSpec`, against any schema of a map; `common`: names that may stand at its top besides, for suggestions. */
export function checkFields<S extends z.ZodType>(
  schema: S,
  what: string,
  spec: Record<string, unknown>,
  fields: MapNode,
  at: Place,
  common: readonly string[],
  failed: ReadonlySet<string>,
): { spec: z.output<S> | null; faults: SpecFault[] } {
  const result = schema.safeParse(spec);
  if (result.success) return { spec: result.data, faults: [] };
  const faults: SpecFault[] = [];
  for (const issue of result.error.issues) {
    if (failed.has(String(issue.path[0]))) continue;
    const { node, keyAt, depth } = nodeAt(fields, issue.path);
    const name = issue.path.map(String).join(".");
    const known = [...new Set([...keysAt(schema, issue.path), ...(issue.path.length === 0 ? common : [])])];
    const unknown = issue.code === "unrecognized_keys" ? issue.keys : unknownKeys(issue.code, node, known);
    for (const key of unknown) {
      const place = node.t === "map" ? (node.entries.get(key)?.at ?? keyAt) : keyAt;
      const where = name === "" ? what : `\`${name}\` of ${what}`;
      faults.push({
        at: place,
        message: `unknown key \`${key}\` in ${where}${suggest(key, known)}`,
        hint: `known: ${known.join(", ")}`,
      });
    }
    if (unknown.length > 0) continue;
    if (depth < issue.path.length) {
      const made = depth === 0 && spec[name] !== undefined;
      const message = made
        ? `the rendered \`${name}\` of ${what} ${issue.message}`
        : `\`${name}\` of ${what} is missing`;
      faults.push({ at: depth === 0 ? at : keyAt, message });
      continue;
    }
    const wanted = issue.message
      .replace(/^Invalid input: (?:expected )?/, "expected ")
      .replace(/, received .*/, "");
    const choice = issue.code === "invalid_union" ? choiceOf(issue, known) : wanted;
    const hidden = node.t === "scalar" && node.value !== null && isSecret(name, choice);
    const hint = hidden ? null : hintFor(name, node, wanted);
    const message = `\`${name}\` of ${what} is ${hidden ? "something that is not shown" : nodeText(node)}: ${choice}`;
    faults.push({ at: node.at, message, ...(hint === null ? {} : { hint }) });
  }
  return { spec: null, faults };
}

/** Whether what stands there may be a secret in clear: an error goes into the log of a CI. */
const isSecret = (name: string, choice: string) =>
  choice.includes("vault:") || /(?:token|passw(?:or)?d|secret|credential)[^.]*$/i.test(name);

/** What would be right instead of something that is none of several things: maps by their keys, texts in the words of each. */
function choiceOf({ errors }: z.core.$ZodIssueInvalidUnion, known: readonly string[]): string {
  if (known.length > 0) return `expected one of ${known.map((key) => `\`${key}: …\``).join(", ")}`;
  const words = errors.flat().map(({ message }) => message.replace(/^Invalid input: /, ""));
  return [...new Set(words)].join(", or ");
}

function unknownKeys(code: string, node: YamlNode, known: readonly string[]): string[] {
  if (code !== "invalid_union" || node.t !== "map") return [];
  return [...node.entries.keys()].filter((key) => !known.includes(key));
}

function hintFor(name: string, node: YamlNode, wanted: string): string | null {
  if (node.t !== "scalar") return null;
  if (name === "mode" && typeof node.value === "number") {
    const digits = node.source.replace(/^0o?/, "").padStart(3, "0");
    return `write mode: "0${digits}" with the quotes: a bare number is read as another number`;
  }
  if (wanted.includes("boolean") && /^(?:yes|no|on|off)$/i.test(node.source))
    return `write ${/^(?:yes|on)$/i.test(node.source)}: in this file yes and no are plain words`;
  if (wanted.includes("string") && typeof node.value !== "string") return `quote it: "${node.source}"`;
  return null;
}
