/** Where each field of a resource came from: what `ctl explain HOST KIND/NAME` prints. Pure. */
import { FleetError } from "@muster/protocol/errors";
import type { Fleet } from "./fleet.ts";
import { type Place, suggest } from "./problem.ts";
import type { MapNode, YamlNode } from "./yaml.ts";

export interface ExplainedField {
  /** `expect.upstream.import_min` */
  readonly path: string;
  /** As written in the file, before rendering. */
  readonly value: string;
  readonly at: Place;
  /** What more general files said, the most general first. */
  readonly replaced: readonly { readonly value: string; readonly at: Place }[];
}

export interface Explanation {
  readonly host: string;
  readonly ref: string;
  readonly absent: boolean;
  readonly fields: readonly ExplainedField[];
  /** All that comes before it, written down or following from use; empty while the folder has problems. */
  readonly needs: readonly string[];
}

function valueText(node: YamlNode): string {
  if (node.t === "scalar")
    return typeof node.value === "string" ? JSON.stringify(node.value) : node.source || "null";
  if (node.t === "list") return `[${node.items.map(valueText).join(", ")}]`;
  return `{${[...node.entries].map(([key, { value }]) => ` ${key}: ${valueText(value)}`).join(",")} }`;
}

function leaves(map: MapNode, prefix: string): { path: string; value: string; at: Place }[] {
  return [...map.entries].flatMap(([key, entry]) => {
    const path = prefix + key;
    if (entry.value.t === "map" && entry.value.entries.size > 0) return leaves(entry.value, `${path}.`);
    return [{ path, value: valueText(entry.value), at: entry.at }];
  });
}

/**
 * Explains one resource of one host.
 *
 * @throws FleetError USAGE for a host or resource that is not there, with a suggestion
 */
export function explain(fleet: Fleet, hostName: string, ref: string): Explanation {
  const host = fleet.hosts.get(hostName);
  if (host === undefined)
    throw new FleetError("USAGE", `no host \`${hostName}\`${suggest(hostName, fleet.hosts.keys())}`);
  const found = host.declared.find((each) => `${each.kind}/${each.name}` === ref);
  if (found === undefined) {
    const known = host.declared.map((each) => `${each.kind}/${each.name}`);
    throw new FleetError("USAGE", `${hostName} has no \`${ref}\`${suggest(ref, known)}`);
  }
  const fields = leaves(found.fields, "").map((field) => ({
    ...field,
    replaced: found.replaced
      .filter((old) => old.path === field.path)
      .map((old) => ({ value: valueText(old.value), at: old.at })),
  }));
  const needs = host.resources.find((each) => `${each.kind}/${each.name}` === ref)?.needs ?? [];
  return { host: hostName, ref, absent: found.absent, fields, needs };
}
