/**
 * Variables of hosts by Ansible's precedence, lowest first: `all` in hosts.yml, other groups in hosts.yml, group_vars/all, other
 * group_vars (each by depth, ansible_group_priority, name), the host in hosts.yml, host_vars. A value may be a template itself; it is
 * rendered when a template first asks for it, so that an unused broken variable hurts nobody, as in Ansible.
 */
import { type Group, groupsOf, type Host, type Inventory } from "./hosts.ts";
import {
  type Dict,
  Float,
  isTemplate,
  LazyDict,
  Reference,
  type TemplateEngine,
  TemplateError,
  type Value,
  type Variables,
} from "./jinja.ts";
import { type Problems, placeText, suggest } from "./problem.ts";
import { type Entry, readYaml, type YamlNode } from "./yaml.ts";

/** `vault:<mount>/<path>#<field>`, the whole value. A misspelt one counts too: it must not reach a server as text. */
export const REFERENCE = /^vault:\S+$/;

type Layer = ReadonlyMap<string, Entry>;

export interface VariableFiles {
  readonly groups: ReadonlyMap<string, Layer>;
  readonly hosts: ReadonlyMap<string, Layer>;
}

/** Reads group_vars/ and host_vars/: NAME, NAME.yml, NAME.yaml, NAME.json, or a directory NAME of such files. */
export function readVariableFiles(
  files: ReadonlyMap<string, string | null>,
  inventory: Inventory,
  problems: Problems,
): VariableFiles {
  const read = (
    folder: string,
    names: Iterable<string>,
    what: string,
    others: ReadonlyMap<string, unknown>,
    other: string,
  ) => {
    const known = [...names];
    const layers = new Map<string, Map<string, Entry>>();
    const forms = new Map<string, string>();
    for (const [file, text] of files) {
      if (!file.startsWith(`${folder}/`)) continue;
      const parts = file.slice(folder.length + 1).split("/");
      if (parts.some((part) => part.startsWith("."))) continue;
      const at = { file, line: 1, column: 1 };
      const last = parts.at(-1) ?? "";
      if (/\./.test(last) && !/\.(?:ya?ml|json)$/.test(last)) continue;
      const [first = ""] = parts;
      const name = parts.length > 1 ? first : first.replace(/\.(?:ya?ml|json)$/, "");
      const form = `${folder}/${first}${parts.length > 1 ? "/" : ""}`;
      const earlier = forms.get(name);
      if (earlier !== undefined && earlier !== form)
        problems.add(
          at,
          `variables of \`${name}\` stand in ${earlier} and in ${form}; Ansible would read one of them only`,
        );
      forms.set(name, form);
      if (!known.includes(name)) {
        const hint = others.has(name)
          ? `\`${name}\` is a ${other}: its variables belong into ${other}_vars/`
          : undefined;
        problems.add(at, `no ${what} \`${name}\` in hosts.yml${suggest(name, known)}`, hint);
        continue;
      }
      const tree = text === null ? null : readYaml(file, text, "ansible", problems);
      if (text === null) problems.add(at, "this is not UTF-8 text");
      if (tree === null || (tree.t === "scalar" && tree.value === null)) continue;
      if (tree.t !== "map") {
        problems.add(tree.at, "a file of variables is a map: `name: value` lines");
        continue;
      }
      const layer = layers.get(name) ?? new Map<string, Entry>();
      for (const [variable, entry] of tree.entries) layer.set(variable, entry);
      layers.set(name, layer);
    }
    return layers;
  };
  return {
    groups: read("group_vars", inventory.groups.keys(), "group", inventory.hosts, "host"),
    hosts: read("host_vars", inventory.hosts.keys(), "host", inventory.groups, "group"),
  };
}

/** The variables of one host and where each came from. */
export function layeredVariables(inventory: Inventory, files: VariableFiles, host: Host): Map<string, Entry> {
  const groups = groupsOf(inventory, host);
  const all = groups.filter((group) => group.name === "all");
  const rest = groups.filter((group) => group.name !== "all");
  const own = (group: Group): Layer => group.vars;
  const filed = (group: Group): Layer => files.groups.get(group.name) ?? new Map();
  const layers = [...all.map(own), ...rest.map(own), ...all.map(filed), ...rest.map(filed)];
  const result = new Map<string, Entry>();
  for (const layer of [...layers, host.vars, files.hosts.get(host.name) ?? new Map<string, Entry>()])
    for (const [name, entry] of layer) result.set(name, entry);
  return result;
}

/** What all hosts of a fleet share while their variables are worked out. */
export interface FleetVariables {
  readonly inventory: Inventory;
  readonly engine: TemplateEngine;
  /** The variables of another host, for `hostvars`. */
  readonly of: (host: string) => HostVariables | undefined;
  /** `groups`, the same for every host. */
  readonly groups: Value;
}

/** The variables of one host as templates see them. */
export class HostVariables implements Variables {
  readonly host: string;
  /** The effective variables, unrendered. */
  readonly entries: ReadonlyMap<string, Entry>;
  private readonly fleet: FleetVariables;
  private readonly known = new Map<string, Value>();
  private readonly open = new Set<string>();

  constructor(host: Host, entries: ReadonlyMap<string, Entry>, fleet: FleetVariables) {
    this.host = host.name;
    this.entries = entries;
    this.fleet = fleet;
    const names = groupsOf(fleet.inventory, host)
      .map((group) => group.name)
      .filter((name) => name !== "all");
    const magic: [string, Value][] = [
      ["inventory_hostname", host.name],
      ["inventory_hostname_short", host.name],
      ["group_names", frozen(names.sort())],
      ["groups", fleet.groups],
      ["ansible_managed", "Managed by Muster"],
      [
        "hostvars",
        new LazyDict(
          () => [...fleet.inventory.hosts.keys()],
          (name) => lazyHost(fleet.of(name)),
        ),
      ],
    ];
    for (const [name, value] of magic) this.known.set(name, value);
  }

  names(): string[] {
    return [...this.known.keys(), ...this.entries.keys()];
  }

  /** @throws TemplateError if the variable is a template that fails, or refers to itself */
  get(name: string): Value | undefined {
    const known = this.known.get(name);
    if (known !== undefined) return known;
    const entry = this.entries.get(name);
    if (entry === undefined) return undefined;
    if (this.open.has(name)) {
      const path = [...this.open, name].join(" → ");
      throw new TemplateError(`the variable \`${name}\` refers to itself: ${path}`, 0, {
        text: "",
        locate: () => entry.at,
      });
    }
    this.open.add(name);
    try {
      const value = this.value(entry.value);
      this.known.set(name, value);
      return value;
    } finally {
      this.open.delete(name);
    }
  }

  private value(node: YamlNode): Value {
    if (node.t === "list") return frozen(node.items.map((item) => this.value(item)));
    if (node.t === "map") {
      const dict: Dict = new Map();
      for (const { key, value } of node.entries.values()) dict.set(key, this.value(value));
      return dict;
    }
    if (typeof node.value === "number" && node.float) return new Float(node.value);
    if (typeof node.value !== "string") return node.value;
    if (REFERENCE.test(node.value)) return new Reference(node.value, placeText(node.at));
    if (!isTemplate(node.value)) return node.value;
    const { value, faults } = this.fleet.engine.value(node, this);
    const fault = faults[0];
    if (fault !== undefined) throw new TemplateError(fault.message, 0, { text: "", locate: () => fault });
    return Array.isArray(value) ? frozen(value) : value;
  }
}

function frozen(list: Value[]): Value[] {
  return Object.freeze(list) as Value[];
}

function lazyHost(host: HostVariables | undefined): Value | undefined {
  if (host === undefined) return undefined;
  return new LazyDict(
    () => host.names(),
    (name) => host.get(name),
  );
}
