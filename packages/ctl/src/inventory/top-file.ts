/** A file at the top of the folder that is for the whole fleet (alerts.yml, monitoring.yml) against its schema, and the selectors in it. */
import type { z } from "zod";
import type { Place, Problems } from "./problem.ts";
import { needsOf, type Selectable, select } from "./selectors.ts";
import { checkFields } from "./spec.ts";
import type { MapNode, YamlNode } from "./yaml.ts";

/** What it says, and where its map begins; null with mistakes in it. An empty file is an empty map. */
export function readTopFile<S extends z.ZodType>(
  schema: S,
  file: string,
  tree: YamlNode,
  example: string,
  problems: Problems,
): { spec: z.output<S>; at: Place } | null {
  const fields: MapNode = tree.t === "map" ? tree : { t: "map", at: tree.at, entries: new Map() };
  if (tree.t !== "map" && !(tree.t === "scalar" && tree.value === null)) {
    problems.add(tree.at, `${file} must be a map`, example);
    return null;
  }
  const plain = plainOf(fields) as Record<string, unknown>;
  const { spec, faults } = checkFields(schema, file, plain, fields, fields.at, [], new Set());
  for (const { at, message, hint } of faults) problems.add(at, message, hint);
  return spec === null ? null : { spec, at: fields.at };
}

/** The hosts of an `on`, sorted; null without one. It becomes names when it is signed: controllers choose no hosts. */
export function chosenHosts(
  selector: string | undefined,
  what: string,
  at: Place,
  { hosts, groups }: { hosts: readonly Selectable[]; groups: readonly string[] },
  problems: Problems,
): string[] | null {
  if (selector === undefined) return null;
  const found =
    needsOf([selector]).facts.length > 0
      ? { hosts: [], fault: `${selector}: ${what} cannot go by facts, which change by themselves` }
      : select(hosts, groups, selector);
  if (found.fault !== null) problems.add(at, `\`on\`: ${found.fault}`);
  return [...found.hosts].sort();
}

function plainOf(node: YamlNode): unknown {
  if (node.t === "scalar") return node.value;
  if (node.t === "list") return node.items.map(plainOf);
  return Object.fromEntries([...node.entries].map(([key, { value }]) => [key, plainOf(value)]));
}
