/**
 * A fleet folder as a whole: load → hosts → variables → resources → render → order. `loadFleet` lists every problem of the folder
 * at once; `compileFleet` gives the result, and refuses while there is one: half a desired state must never reach a server.
 */
import { FleetError } from "@muster/protocol/errors";
import type { Monitoring } from "@muster/protocol/monitoring";
import type { ImagePin } from "@muster/protocol/resources/container";
import type { Resource } from "@muster/protocol/resources/index";
import { ALERTS_FILE, type DeclaredAlerting, readAlerts } from "./alerts.ts";
import { containerFaults } from "./containers.ts";
import { Contents } from "./contents.ts";
import { HostFaults } from "./faults.ts";
import { type Folder, readFolder } from "./folder.ts";
import { groupNamesOf, type Host, hostsOf, type Inventory, readHosts } from "./hosts.ts";
import { IMAGES_FILE, type ImagePins, readImages, type UsedImage } from "./images.ts";
import { type Dict, Float, str, TemplateEngine, TemplateError, type Value } from "./jinja.ts";
import { type Scraped, scrapedResource } from "./metrics-at.ts";
import { MONITORING_FILE, readMonitoring } from "./monitoring.ts";
import { orderResources, type Unordered } from "./order.ts";
import { type Problem, Problems, problemText } from "./problem.ts";
import { HostRenderer } from "./render.ts";
import { type Declared, declaredFor, type ResourceFiles, readResourceFiles } from "./resources.ts";
import { needsOf, type Selectable, select } from "./selectors.ts";
import { readSettings, type Settings } from "./settings.ts";
import { Checked } from "./spec.ts";
import { Templates } from "./templates.ts";
import { HostVariables, layeredVariables, readVariableFiles } from "./variables.ts";
import { readYaml, type YamlNode } from "./yaml.ts";

/** What one host should be, before identity, generation and signature are added. */
export interface CompiledHost {
  readonly host: string;
  /** All groups it is in, sorted; `all` and `ungrouped` left out. */
  readonly groups: string[];
  readonly labels: Record<string, string>;
  /** In dependency order. */
  readonly resources: Resource[];
  /** `kind/name` of what `absent: true` took away: `bird` is removed from a host only then. */
  readonly absent: string[];
}

export interface FleetHost extends Selectable {
  readonly groups: string[];
  readonly labels: Record<string, string>;
  readonly variables: HostVariables;
  readonly declared: readonly Declared[];
  readonly resources: readonly Resource[];
  /** By which others reach it: `ansible_host`, else its name. */
  readonly address: string;
  /** Which of its services and containers serve metrics, and where. */
  readonly scraped: readonly Scraped[];
}

export interface Fleet {
  /** Absolute path of the folder. */
  readonly root: string;
  readonly name: string;
  readonly settings: Settings;
  readonly inventory: Inventory;
  /** Contents that stand in manifests by their hash only. */
  readonly contents: ReadonlyMap<string, Uint8Array>;
  /** Images that containers name by a tag, pinned or not. */
  readonly images: ReadonlyMap<string, UsedImage>;
  readonly pins: ImagePins;
  /** Null where the folder has no alerts.yml. */
  readonly alerts: DeclaredAlerting | null;
  readonly monitoring: Monitoring;
  /** In the order of hosts.yml. */
  readonly hosts: ReadonlyMap<string, FleetHost>;
}

export interface LoadedFleet {
  readonly fleet: Fleet;
  readonly problems: readonly Problem[];
}

/**
 * Reads the fleet folder `root` (see `findFleetFolder`) and works everything out.
 *
 * @throws FleetError NOT_FOUND if it is no fleet folder; errors of the file system. Mistakes in files are `problems`.
 */
export async function loadFleet(root: string, options: LoadOptions = {}): Promise<LoadedFleet> {
  const problems = new Problems();
  return buildFleet(await readFolder(root, problems), problems, options);
}

/** `pins: "not needed"`: an image without a line in images.lock is no problem. For `ctl image update`; what comes of it must not be signed. */
export type LoadOptions = { readonly pins?: "not needed" };

/** The pure part of `loadFleet`. */
export function buildFleet(folder: Folder, problems: Problems, options: LoadOptions = {}): LoadedFleet {
  const settings = readSettings(tree(folder, "muster.yml", "strict", problems), problems);
  const inventory = readHosts(hostsTree(folder, problems), problems);
  const templates = new Templates(folder.files, folder.bytes);
  const engine = new TemplateEngine((name) => templates.sources.get(name));
  const variableFiles = readVariableFiles(folder.files, inventory, problems);
  const resourceFiles = readResourceFiles(folder.files, inventory, problems);
  const all = new Map<string, HostVariables>();
  const groups: Dict = new Map();
  for (const group of inventory.groups.keys())
    groups.set(group, Object.freeze(hostsOf(inventory, group)) as Value[]);
  const lock = folder.files.get(IMAGES_FILE);
  const pins = typeof lock === "string" ? readImages(lock, problems) : new Map<string, ImagePin>();
  const shared = { inventory, engine, groups, of: (name: string) => all.get(name) };
  for (const host of inventory.hosts.values())
    all.set(host.name, new HostVariables(host, layeredVariables(inventory, variableFiles, host), shared));
  const faults = new HostFaults();
  const contents = new Contents();
  const used = new Map<string, UsedImage>();
  const rendering = {
    engine,
    templates,
    contents,
    images: options.pins === undefined ? pins : null,
    used,
    faults,
    checked: new Checked(),
  };
  const hosts = new Map<string, FleetHost>();
  for (const host of inventory.hosts.values()) {
    const variables = all.get(host.name);
    if (variables === undefined) throw new Error("every host has variables");
    const renderer = new HostRenderer(variables, rendering);
    hosts.set(
      host.name,
      buildHost(host, variables, inventory, resourceFiles, settings, renderer, faults, problems),
    );
  }
  faults.report(problems);
  checkWaves(settings, hosts, inventory, problems);
  const top = (file: string) => tree(folder, file, "strict", problems);
  const [all_hosts, all_groups] = [[...hosts.values()], [...inventory.groups.keys()]];
  const alerts = readAlerts(top(ALERTS_FILE), all_hosts, all_groups, problems);
  const monitoring = readMonitoring(top(MONITORING_FILE), all_hosts, all_groups, problems);
  const fleet: Fleet = {
    root: folder.root,
    name: settings.fleet,
    settings,
    inventory,
    contents: contents.bytes,
    images: used,
    pins,
    alerts,
    monitoring,
    hosts,
  };
  return { fleet, problems: problems.list() };
}

function tree(
  folder: Folder,
  file: string,
  dialect: "ansible" | "strict",
  problems: Problems,
): YamlNode | null {
  const text = folder.files.get(file);
  if (typeof text === "string") return readYaml(file, text, dialect, problems);
  if (text === null) problems.add({ file, line: 1, column: 1 }, "this is not UTF-8 text");
  return null;
}

function hostsTree(folder: Folder, problems: Problems): YamlNode | null {
  const [first, second] = ["hosts.yml", "hosts.yaml"].filter((file) => folder.files.has(file));
  if (second !== undefined)
    problems.add({ file: second, line: 1, column: 1 }, `${first} is there too; keep one`);
  if (first !== undefined) return tree(folder, first, "ansible", problems);
  problems.add(
    { file: "hosts.yml", line: 1, column: 1 },
    "there is no hosts.yml",
    "core: { hosts: { core1: {} } }",
  );
  return null;
}

function buildHost(
  host: Host,
  variables: HostVariables,
  inventory: Inventory,
  files: ResourceFiles,
  settings: Settings,
  renderer: HostRenderer,
  faults: HostFaults,
  problems: Problems,
): FleetHost {
  const declared = declaredFor(inventory, host, files, problems);
  const items: Unordered[] = [];
  let whole = true;
  for (const each of declared) {
    if (each.absent) continue;
    const item = renderer.render(each);
    if (item === null) whole = false;
    else items.push(item);
  }
  const { resources, faults: wrong } = orderResources(items);
  for (const { at, message, hint, what } of containerFaults(resources, declared, whole))
    faults.add(host.name, what, at, message, hint);
  // A need of something that failed to render is not missing: its own fault is listed.
  for (const { at, message } of wrong)
    if (whole || !message.includes("does not have")) faults.add(host.name, "order", at, message);
  const groups = groupNamesOf(inventory, host);
  const labels = labelsOf(variables, settings, faults);
  const address = addressOf(variables, faults);
  const scraped = items.flatMap(({ resource, metrics }) => {
    if (metrics === undefined) return [];
    const found = scrapedResource(resource, metrics.text, address);
    if (!("fault" in found)) return [found];
    faults.add(host.name, `${resource.kind}/${resource.name}`, metrics.at, found.fault, found.hint);
    return [];
  });
  return { name: host.name, groups, labels, variables, declared, resources, address, scraped };
}

/** The longest value of a label; labels go into every manifest. */
const MAX_LABEL = 255;

function labelsOf(variables: HostVariables, settings: Settings, faults: HostFaults): Record<string, string> {
  const labels: [string, string][] = [];
  for (const { name } of settings.labels) {
    const at = variables.entries.get(name)?.at;
    if (at === undefined) continue;
    try {
      const value = variables.get(name);
      const simple =
        typeof value === "string" ||
        typeof value === "number" ||
        typeof value === "boolean" ||
        value instanceof Float;
      if (simple && str(value).length <= MAX_LABEL) labels.push([name, str(value)]);
      else
        faults.add(
          variables.host,
          "label",
          at,
          `\`${name}\` is a label (muster.yml): it must be one short value`,
        );
    } catch (error) {
      if (!(error instanceof TemplateError)) throw error;
      faults.add(variables.host, "label", at, error.message);
    }
  }
  return Object.fromEntries(labels);
}

function addressOf(variables: HostVariables, faults: HostFaults): string {
  try {
    return textOf(variables, "ansible_host") ?? variables.host;
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    const at = variables.entries.get("ansible_host")?.at;
    if (at !== undefined) faults.add(variables.host, "ansible_host", at, error.message);
    return variables.host;
  }
}

function checkWaves(
  settings: Settings,
  hosts: ReadonlyMap<string, FleetHost>,
  inventory: Inventory,
  problems: Problems,
): void {
  for (const { name, at } of settings.waves) {
    const { fault } =
      needsOf([name]).facts.length > 0
        ? { fault: `${name}: a wave cannot go by facts, which change by themselves` }
        : select([...hosts.values()], [...inventory.groups.keys()], name);
    if (fault !== null) problems.add(at, `\`waves\`: ${fault}`);
  }
}

/**
 * What every host should be, or only the named ones. Pure.
 *
 * @throws FleetError INVENTORY listing all problems, if there is any anywhere in the folder; NOT_FOUND for an unknown name
 */
export function compileFleet(
  { fleet, problems }: LoadedFleet,
  names: readonly string[] = [...fleet.hosts.keys()],
): CompiledHost[] {
  if (problems.length > 0) throw new FleetError("INVENTORY", problems.map(problemText).join("\n"));
  return names.map((name) => {
    const host = fleet.hosts.get(name);
    if (host === undefined) throw new FleetError("NOT_FOUND", `no host ${name}`);
    const { groups, labels } = host;
    const absent = host.declared.filter((each) => each.absent).map((each) => `${each.kind}/${each.name}`);
    return { host: name, groups, labels, resources: [...host.resources], absent };
  });
}

/** A variable of a host as plain text, for `ansible_host` and `ansible_user`; null if it is not set or not simple. */
export const variableText = (host: FleetHost, name: string): string | null => textOf(host.variables, name);

function textOf(variables: HostVariables, name: string): string | null {
  const value = variables.get(name);
  return typeof value === "string" || typeof value === "number" ? String(value) : null;
}
