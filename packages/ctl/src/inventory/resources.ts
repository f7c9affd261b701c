/**
 * resources/<group or host>.yml → the resources of each host, every field with its place. General files are overlaid by more
 * specific ones: maps merge, scalars and lists replace, null drops a field, `absent: true` drops the resource.
 */
import { KINDS } from "@muster/protocol/resources/index";
import { type Group, groupsOf, type Host, type Inventory } from "./hosts.ts";
import { type Place, type Problems, placeText, suggest } from "./problem.ts";
import { type Entry, type MapNode, nodeText, readYaml, sameNode, type YamlNode } from "./yaml.ts";

/** A field that something more specific replaced, for `ctl explain`. */
export interface Replaced {
  readonly path: string;
  readonly at: Place;
  readonly value: YamlNode;
}

/** One resource of one host after merging, before rendering. */
export interface Declared {
  readonly kind: string;
  readonly name: string;
  /** The most specific place that names it. */
  readonly at: Place;
  readonly fields: MapNode;
  /** Taken away by `absent: true`. */
  readonly absent: boolean;
  readonly replaced: readonly Replaced[];
}

/** The resources of one file: kind → name → fields. */
export type ResourceFiles = ReadonlyMap<
  string,
  ReadonlyMap<string, Entry & { readonly kind: string; readonly name: string }>
>;

/** Kinds that have a place in the design and are not built yet: a better answer than "unknown". */
const LATER = ["wireguard", "firewall", "address", "route", "link", "ssh"];

/** Reads all files below resources/, by the group or host that each is named after. */
export function readResourceFiles(
  files: ReadonlyMap<string, string | null>,
  inventory: Inventory,
  problems: Problems,
): ResourceFiles {
  const owners = [...inventory.groups.keys(), ...inventory.hosts.keys()];
  const result = new Map<string, Map<string, Entry & { kind: string; name: string }>>();
  for (const [file, text] of files) {
    if (!file.startsWith("resources/")) continue;
    const at = { file, line: 1, column: 1 };
    const owner = /^resources\/([^/]+)\.ya?ml$/.exec(file)?.[1];
    if (owner === undefined) {
      problems.add(at, "a file of resources is resources/<group or host>.yml");
      continue;
    }
    if (!owners.includes(owner)) {
      problems.add(at, `no group or host \`${owner}\` in hosts.yml${suggest(owner, owners)}`);
      continue;
    }
    if (result.has(owner))
      problems.add(at, `resources/${owner}.yml and resources/${owner}.yaml are both there; keep one`);
    const tree = text === null ? null : readYaml(file, text, "strict", problems);
    if (text === null) problems.add(at, "this is not UTF-8 text");
    result.set(owner, readKinds(tree, problems));
  }
  return result;
}

function readKinds(
  tree: YamlNode | null,
  problems: Problems,
): Map<string, Entry & { kind: string; name: string }> {
  const found = new Map<string, Entry & { kind: string; name: string }>();
  if (tree === null || (tree.t === "scalar" && tree.value === null)) return found;
  if (tree.t !== "map") {
    problems.add(tree.at, `expected kinds of resources, found ${nodeText(tree)}`, "service: { bird: {} }");
    return found;
  }
  for (const [kind, of] of tree.entries) {
    if (!Object.hasOwn(KINDS, kind)) {
      const later = LATER.includes(kind)
        ? `the kind \`${kind}\` is not supported yet`
        : `unknown kind \`${kind}\`${suggest(kind, Object.keys(KINDS))}`;
      problems.add(of.at, later, `kinds: ${Object.keys(KINDS).join(", ")}`);
      continue;
    }
    if (of.value.t !== "map") {
      problems.add(
        of.value.at,
        `\`${kind}\` must map names to settings, found ${nodeText(of.value)}`,
        `${kind}: { NAME: {} }`,
      );
      continue;
    }
    for (const [name, entry] of of.value.entries) {
      const fields = formOf(kind, name, entry, problems);
      if (fields !== null) found.set(`${kind}/${name}`, { ...entry, value: fields, kind, name });
    }
  }
  return found;
}

/** The fields of one resource; `sysctl: { key: 1 }` is short for `{ value: 1 }`. */
function formOf(kind: string, name: string, entry: Entry, problems: Problems): MapNode | null {
  const { value, at } = entry;
  if (name.includes("{{"))
    problems.add(at, "the name of a resource cannot hold a template", "put it into the host's own file");
  if (value.t === "map") return value;
  if (kind === "sysctl" && value.t === "scalar" && value.value !== null)
    return { t: "map", at, entries: new Map([["value", { key: "value", at: value.at, value }]]) };
  const hint =
    value.t === "scalar" && value.value === null
      ? "`{}` for no settings, `{ absent: true }` to drop it"
      : undefined;
  problems.add(value.at, `\`${kind}/${name}\` must be a map, found ${nodeText(value)}`, hint);
  return null;
}

/** An entry with the rank of the file it came from, and an equal-ranked one that says something else. */
interface Layered extends Entry {
  readonly conflict?: { readonly first: Place; readonly second: Place };
}

/** The resources of a host, in the order in which the files name them. */
export function declaredFor(
  inventory: Inventory,
  host: Host,
  files: ResourceFiles,
  problems: Problems,
): Declared[] {
  const groups = groupsOf(inventory, host);
  const ranks = new Map<string, string>();
  const rankOf = (group: Group) => `${group.depth}/${group.priority}`;
  const owners: string[] = [];
  for (const group of groups) owners.push(group.name);
  owners.push(host.name);
  const merged = new Map<
    string,
    { kind: string; name: string; at: Place; fields: MapNode; replaced: Replaced[] }
  >();
  for (const owner of owners) {
    const group = groups.find((each) => each.name === owner);
    for (const [ref, entry] of files.get(owner) ?? []) {
      ranks.set(entry.at.file, group === undefined ? "host" : rankOf(group));
      const before = merged.get(ref);
      if (entry.value.t !== "map") continue;
      const replaced = before?.replaced ?? [];
      const fields =
        before === undefined ? entry.value : overlay(before.fields, entry.value, ranks, "", replaced);
      merged.set(ref, { kind: entry.kind, name: entry.name, at: entry.at, fields, replaced });
    }
  }
  return [...merged.values()].map(({ fields, ...rest }) => {
    const what = `${rest.kind}/${rest.name}`;
    const cleaned = clean(fields, what, "", problems);
    const absent = cleaned.entries.get("absent")?.value;
    if (absent !== undefined && !(absent.t === "scalar" && typeof absent.value === "boolean"))
      problems.add(absent.at, `\`absent\` of ${what} must be true or false, found ${nodeText(absent)}`);
    return { ...rest, fields: cleaned, absent: absent?.t === "scalar" && absent.value === true };
  });
}

function overlay(
  base: MapNode,
  over: MapNode,
  ranks: ReadonlyMap<string, string>,
  path: string,
  replaced: Replaced[],
): MapNode {
  const entries = new Map<string, Layered>(base.entries);
  for (const [key, entry] of over.entries) {
    const old = entries.get(key);
    const inner = path === "" ? key : `${path}.${key}`;
    if (old === undefined) entries.set(key, entry);
    else if (old.value.t === "map" && entry.value.t === "map")
      entries.set(key, { ...entry, value: overlay(old.value, entry.value, ranks, inner, replaced) });
    else {
      const equals = sameNode(old.value, entry.value);
      const sameRank = old.at.file !== entry.at.file && ranks.get(old.at.file) === ranks.get(entry.at.file);
      if (!equals) replaced.push({ path: inner, at: old.value.at, value: old.value });
      entries.set(
        key,
        !equals && sameRank ? { ...entry, conflict: { first: old.at, second: entry.at } } : entry,
      );
    }
  }
  return { t: "map", at: over.at, entries };
}

/** Drops null fields and names conflicts that nothing more specific settled. */
function clean(map: MapNode, what: string, path: string, problems: Problems): MapNode {
  const entries = new Map<string, Entry>();
  for (const [key, entry] of map.entries as ReadonlyMap<string, Layered>) {
    const inner = path === "" ? key : `${path}.${key}`;
    if (entry.conflict !== undefined) {
      const { first, second } = entry.conflict;
      const message = `two groups of equal rank disagree on \`${inner}\` of ${what}: ${placeText(first)} says otherwise`;
      problems.add(
        second,
        message,
        "set it in the host's own file, or give one group ansible_group_priority",
      );
    }
    if (entry.value.t === "scalar" && entry.value.value === null) continue;
    const value = entry.value.t === "map" ? clean(entry.value, what, inner, problems) : entry.value;
    entries.set(key, { ...entry, value });
  }
  return { ...map, entries };
}
