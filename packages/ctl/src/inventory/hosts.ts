/**
 * hosts.yml → hosts and groups, as Ansible's YAML inventory plug-in reads them: groups with `hosts`, `children` and `vars`, ranges in
 * host names, `all` above everything. Stricter than Ansible where it only warns: unknown keys, a name for both host and group.
 */
import { GroupName, HostName } from "@muster/protocol/names";
import { type Place, type Problems, placeText, suggest } from "./problem.ts";
import { type Entry, type MapNode, nodeText, type YamlNode } from "./yaml.ts";

export interface Host {
  readonly name: string;
  readonly at: Place;
  /** Groups that list the host itself. */
  readonly groups: Set<string>;
  readonly vars: Map<string, Entry>;
}

export interface Group {
  readonly name: string;
  readonly at: Place;
  readonly parents: Set<string>;
  readonly children: Set<string>;
  readonly hosts: Set<string>;
  readonly vars: Map<string, Entry>;
  /** 0 for `all`, else one more than the deepest parent's. */
  depth: number;
  priority: number;
}

export interface Inventory {
  readonly hosts: ReadonlyMap<string, Host>;
  readonly groups: ReadonlyMap<string, Group>;
}

/** A range such as `probe[0001:9999]` may stand for this many hosts. */
const MAX_RANGE = 20_000;
const GROUP_KEYS = ["hosts", "children", "vars"];

/** Reads the tree of hosts.yml; what is wrong is added to `problems` and left out. */
export function readHosts(tree: YamlNode | null, problems: Problems): Inventory {
  const reader = new HostsReader(problems);
  const start: Place = { file: "hosts.yml", line: 1, column: 1 };
  reader.group("all", tree?.at ?? start);
  reader.group("ungrouped", tree?.at ?? start);
  if (tree !== null && tree.t === "map")
    for (const [name, entry] of tree.entries) reader.readGroup(name, entry, null);
  else if (tree !== null)
    problems.add(tree.at, `expected groups, found ${nodeText(tree)}`, "core: { hosts: { core1: {} } }");
  reader.finish();
  return { hosts: reader.hosts, groups: reader.groups };
}

class HostsReader {
  readonly hosts = new Map<string, Host>();
  readonly groups = new Map<string, Group>();
  private readonly problems: Problems;

  constructor(problems: Problems) {
    this.problems = problems;
  }

  group(name: string, at: Place): Group {
    let group = this.groups.get(name);
    if (group === undefined) {
      group = {
        name,
        at,
        parents: new Set(),
        children: new Set(),
        hosts: new Set(),
        vars: new Map(),
        depth: 0,
        priority: 1,
      };
      this.groups.set(name, group);
    }
    return group;
  }

  readGroup(name: string, entry: Entry, parent: Group | null): void {
    if (!GroupName.safeParse(name).success) {
      this.problems.add(
        entry.at,
        `\`${name}\` is not a name for a group`,
        "letters, digits, _ and -, not beginning with -",
      );
      return;
    }
    const group = this.group(name, entry.at);
    if (parent !== null) {
      group.parents.add(parent.name);
      parent.children.add(name);
    }
    for (const [key, part] of this.mapOf(entry.value, `group \`${name}\``)?.entries ?? []) {
      const what = `\`${key}\` of group \`${name}\``;
      if (key === "hosts") this.readHostList(part.value, group, what);
      else if (key === "vars") {
        for (const [variable, value] of this.mapOf(part.value, what)?.entries ?? [])
          group.vars.set(variable, value);
      } else if (key === "children") {
        for (const [child, of] of this.mapOf(part.value, what)?.entries ?? [])
          this.readGroup(child, of, group);
      } else {
        const hint = "a group has `hosts`, `children` and `vars`; a subgroup goes under `children`";
        this.problems.add(
          part.at,
          `unknown key \`${key}\` in group \`${name}\`${suggest(key, GROUP_KEYS)}`,
          hint,
        );
      }
    }
  }

  private mapOf(node: YamlNode, what: string): MapNode | null {
    if (node.t === "map") return node;
    if (!(node.t === "scalar" && node.value === null))
      this.problems.add(node.at, `${what} must be a map, found ${nodeText(node)}`);
    return null;
  }

  private readHostList(node: YamlNode, group: Group, what: string): void {
    if (node.t === "list") {
      this.problems.add(
        node.at,
        `${what} must be a map, found a list`,
        "write `core1:` on a line of its own, without `-`",
      );
      return;
    }
    for (const [pattern, entry] of this.mapOf(node, what)?.entries ?? []) {
      const vars = this.mapOf(entry.value, `host \`${pattern}\``);
      for (const name of this.expand(pattern, entry.at)) {
        if (!HostName.safeParse(name).success) {
          const hint =
            "lower-case letters, digits and -, at most 63, not beginning with -; the address goes into ansible_host";
          this.problems.add(entry.at, `\`${name}\` is not a name for a host`, hint);
          continue;
        }
        let host = this.hosts.get(name);
        if (host === undefined) {
          host = { name, at: entry.at, groups: new Set(), vars: new Map() };
          this.hosts.set(name, host);
        }
        host.groups.add(group.name);
        group.hosts.add(name);
        for (const [variable, value] of vars?.entries ?? []) host.vars.set(variable, value);
      }
    }
  }

  /** `probe[01:20]`, `rack[a:c]`, `db[1:9:2]`; several ranges multiply. */
  private expand(pattern: string, at: Place): string[] {
    const found = /\[([^\]]*)\]/.exec(pattern);
    if (found === null) return [pattern];
    const range = /^(?:(\d+):(\d+)|([a-z]):([a-z]))(?::(\d+))?$/.exec(found[1] ?? "");
    const head = pattern.slice(0, found.index);
    const tails = this.expand(pattern.slice(found.index + found[0].length), at);
    const step = Number(range?.[5] ?? 1);
    const digits = range?.[1] !== undefined;
    const code = (text: string | undefined) => (digits ? Number(text) : (text ?? "").charCodeAt(0));
    const [from, to] = digits ? [range?.[1], range?.[2]] : [range?.[3], range?.[4]];
    if (range === null || step < 1 || code(to) < code(from)) {
      this.problems.add(at, `\`${found[0]}\` is not a range`, "probe[01:20], rack[a:c] or db[1:9:2]");
      return [];
    }
    if (((code(to) - code(from)) / step + 1) * tails.length > MAX_RANGE) {
      this.problems.add(at, `\`${pattern}\` stands for over ${MAX_RANGE} hosts`);
      return [];
    }
    const width = from?.startsWith("0") ? from.length : 0;
    const names: string[] = [];
    for (let i = code(from); i <= code(to); i += step) {
      const middle = digits ? String(i).padStart(width, "0") : String.fromCharCode(i);
      for (const tail of tails) names.push(head + middle + tail);
    }
    return names;
  }

  finish(): void {
    const all = this.groups.get("all");
    const ungrouped = this.groups.get("ungrouped");
    if (all === undefined || ungrouped === undefined) throw new Error("all and ungrouped are made first");
    for (const host of this.hosts.values()) {
      const group = this.groups.get(host.name);
      if (group !== undefined)
        this.problems.add(
          group.at,
          `\`${host.name}\` is both a group and a host (${placeText(host.at)})`,
          "rename one of them",
        );
      if ([...host.groups].every((name) => name === "all" || name === "ungrouped")) {
        host.groups.add("ungrouped");
        ungrouped.hosts.add(host.name);
      }
    }
    for (const group of this.groups.values()) {
      if (group !== all && group.parents.size === 0) {
        group.parents.add("all");
        all.children.add(group.name);
      }
      const priority = group.vars.get("ansible_group_priority")?.value;
      group.vars.delete("ansible_group_priority");
      if (priority?.t === "scalar" && typeof priority.value === "number") group.priority = priority.value;
      else if (priority !== undefined)
        this.problems.add(priority.at, "`ansible_group_priority` must be a number");
    }
    const depths = new Map<string, number>();
    for (const group of this.groups.values()) group.depth = this.depth(group, depths, []);
  }

  private depth(group: Group, depths: Map<string, number>, path: readonly string[]): number {
    const known = depths.get(group.name);
    if (known !== undefined) return known;
    if (path.includes(group.name)) {
      const cycle = [...path.slice(path.indexOf(group.name)), group.name].reverse();
      this.problems.add(group.at, `groups contain each other: ${cycle.join(" → ")}`);
      depths.set(group.name, 1);
      return 1;
    }
    let depth = 0;
    for (const name of group.parents) {
      const parent = this.groups.get(name);
      if (parent !== undefined)
        depth = Math.max(depth, this.depth(parent, depths, [...path, group.name]) + 1);
    }
    depths.set(group.name, depth);
    return depth;
  }
}

/** All groups of a host, `all` first, then as Ansible ranks them: by depth, priority, name; the later one wins. */
export function groupsOf(inventory: Inventory, host: Host): Group[] {
  const found = new Map<string, Group>();
  const visit = (name: string) => {
    const group = inventory.groups.get(name);
    if (group === undefined || found.has(name)) return;
    found.set(name, group);
    for (const parent of group.parents) visit(parent);
  };
  visit("all");
  for (const name of host.groups) visit(name);
  return [...found.values()].sort(
    (a, b) => a.depth - b.depth || a.priority - b.priority || (a.name < b.name ? -1 : 1),
  );
}

/** The names that a person knows a host's groups by: sorted, without those that every host has. */
export const groupNamesOf = (inventory: Inventory, host: Host): string[] =>
  groupsOf(inventory, host)
    .map((group) => group.name)
    .filter((name) => name !== "all" && name !== "ungrouped")
    .sort();

/** The hosts of a group and of all groups below it, in the order of hosts.yml. */
export function hostsOf(inventory: Inventory, group: string): string[] {
  const inside = new Set<string>();
  const seen = new Set<string>();
  const visit = (name: string) => {
    const found = inventory.groups.get(name);
    if (found === undefined || seen.has(name)) return;
    seen.add(name);
    for (const host of found.hosts) inside.add(host);
    for (const child of found.children) visit(child);
  };
  visit(group);
  return [...inventory.hosts.keys()].filter((name) => group === "all" || inside.has(name));
}
