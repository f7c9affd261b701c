/**
 * Who there is: the folder's hosts, the keys pinned in hosts.lock, and what the controllers know, joined by name. Selectors choose from it.
 * Each part is only fetched when it is needed: a ping of pinned hosts needs neither rendering nor a controller.
 */
import { join } from "node:path";
import { callController } from "@muster/ports/call";
import { FleetError } from "@muster/protocol/errors";
import type { HostView } from "@muster/protocol/record";
import { readText } from "../fleet/disk.ts";
import { fleetOfFolder } from "../fleet/folder.ts";
import { loadPins, type Pins } from "../fleet/pins.ts";
import type { LoadedFleet } from "../inventory/fleet.ts";
import { findFleetFolder } from "../inventory/folder.ts";
import { needsOf, type Selectable } from "../inventory/selectors.ts";
import type { Context } from "../program/context.ts";
import type { Connection } from "../session/session.ts";
import { type Picked, pick } from "./facts.ts";

/** Records with their last samples are some ten kilobytes a host, and a message holds a megabyte. */
const PAGE = 50;
/** Where the pins do as well, a controller that hangs is not waited for. */
const QUICK_MS = 1_000;

/** The fleet folder that the person stands in. */
export type FolderHere = {
  readonly root: string;
  readonly pins: Pins;
  /** Reads and renders all of it, once. Mistakes in files are `problems`. */
  load(): Promise<LoadedFleet>;
  /** What selectors choose from. Without labels it reads hosts.yml only, which takes a fraction of the time. */
  declared(labels: boolean): Promise<{ hosts: readonly Selectable[]; groups: readonly string[] }>;
};

/** The folder around, when it is one of the fleet that is meant; else null. */
export async function folderHere(context: Context): Promise<FolderHere | null> {
  const root = await findFleetFolder(context.cwd);
  if (root === null) return null;
  if (context.global.fleet !== undefined && (await fleetOfFolder(context.cwd)) !== context.global.fleet)
    return null;
  let loaded: Promise<LoadedFleet> | undefined;
  const load = () => {
    loaded ??= import("../inventory/fleet.ts").then(({ loadFleet }) => loadFleet(root));
    return loaded;
  };
  return {
    root,
    pins: await loadPins(root),
    load,
    async declared(labels) {
      const quick = labels ? null : await declaredAtAGlance(root);
      if (quick !== null) return quick;
      const { fleet } = await load();
      return { hosts: [...fleet.hosts.values()], groups: [...fleet.inventory.groups.keys()] };
    },
  };
}

/** Hosts and groups by hosts.yml alone; null where that file has mistakes. */
async function declaredAtAGlance(root: string): Promise<{ hosts: Selectable[]; groups: string[] } | null> {
  const [{ groupsOf, readHosts }, { readYaml }, { Problems }] = await Promise.all([
    import("../inventory/hosts.ts"),
    import("../inventory/yaml.ts"),
    import("../inventory/problem.ts"),
  ]);
  const text = await readText(join(root, "hosts.yml"));
  if (text === null) return null;
  const problems = new Problems();
  const inventory = readHosts(readYaml("hosts.yml", text, "ansible", problems), problems);
  if (problems.size > 0) return null;
  const hosts = [...inventory.hosts.values()].map((host) => ({
    name: host.name,
    groups: groupsOf(inventory, host).map((group) => group.name),
    labels: {},
  }));
  return { hosts, groups: [...inventory.groups.keys()] };
}

/** As `folderHere`; USAGE when there is none. */
export async function requireFolder(context: Context): Promise<FolderHere> {
  const folder = await folderHere(context);
  if (folder !== null) return folder;
  throw new FleetError(
    "USAGE",
    "no fleet folder here: this command needs the folder with muster.yml around it",
  );
}

/** Every host that the controllers know, by name. Errors: NO_RESPONDER without a controller, TIMEOUT. */
export async function hostViews(
  connection: Connection,
  timeout_ms?: number,
): Promise<{ views: Map<string, HostView>; now: number }> {
  const views = new Map<string, HostView>();
  let after: string | null = null;
  for (;;) {
    const page: Awaited<ReturnType<typeof askPage>> = await askPage(connection, after, timeout_ms);
    for (const view of page.hosts) if (view.record.state === "enrolled") views.set(view.record.name, view);
    if (page.next === null) return { views, now: page.now };
    after = page.next;
  }
}

const askPage = (connection: Connection, after: string | null, timeout_ms: number | undefined) =>
  callController(connection, "hosts", { after, limit: PAGE }, timeout_ms === undefined ? {} : { timeout_ms });

/** As `hostViews`; null, with the reason, when no controller answers. */
export async function viewsOrSilence(
  connection: Connection,
  timeout_ms?: number,
): Promise<{ views: Map<string, HostView>; now: number } | { silence: FleetError }> {
  try {
    return await hostViews(connection, timeout_ms);
  } catch (error) {
    if (error instanceof FleetError && (error.code === "NO_RESPONDER" || error.code === "TIMEOUT"))
      return { silence: error };
    throw error;
  }
}

export type Chosen = {
  readonly hosts: readonly { readonly name: string; readonly id: string }[];
  /** Chosen by the folder and enrolled nowhere. */
  readonly not_enrolled: readonly string[];
  /** Whether they are meant cannot be said: they do not tell their facts. */
  readonly unknown: readonly string[];
};

/**
 * The hosts that a command which only asks is about, with their ids: pinned ones by hosts.lock, others as the controllers say.
 * Errors: USAGE for an unknown name.
 */
export async function chooseHosts(
  context: Context,
  connection: () => Promise<Connection>,
  selector: string,
): Promise<Chosen> {
  const not = context.global.not === undefined ? [] : [context.global.not];
  const folder = await folderHere(context);
  if (folder !== null) {
    const pinned = byPins(folder.pins, selector, not);
    if (pinned !== null) return pinned;
    if (selector === "all" && not.length === 0 && folder.pins.size > 0)
      return everyHost(await connection(), folder.pins);
  }
  let known: ReturnType<typeof viewsOrSilence> | undefined;
  const views = async () => {
    known ??= viewsOrSilence(await connection());
    return known;
  };
  const ids = async () => idsOf(await views(), folder?.pins ?? new Map());
  if (folder !== null) {
    const declared = await folder.declared(needsOf([selector, ...not]).labels);
    const everyone = declared.hosts.every(({ name }) => folder.pins.has(name));
    const picked = await pick(
      context,
      { ...declared, connection, ids: async () => (everyone ? folder.pins : ids()) },
      selector,
    );
    const enrolled = picked.names.every((name) => folder.pins.has(name)) ? folder.pins : await ids();
    return chosenOf(picked, enrolled);
  }
  const there = await views();
  if ("silence" in there) throw there.silence;
  const hosts = [...there.views.values()].map(selectable);
  return chosenOf(
    await pick(context, { hosts, groups: groupsOf(there.views), connection, ids }, selector),
    await ids(),
  );
}

const chosenOf = (picked: Picked, ids: ReadonlyMap<string, string>): Chosen => ({
  hosts: withIds(picked.names, ids),
  not_enrolled: picked.names.filter((name) => !ids.has(name)),
  unknown: picked.unknown,
});

/** A pinned id stands; the rest is as the controllers say, when one answers. */
export function idsOf(
  known: Awaited<ReturnType<typeof viewsOrSilence>>,
  pins: Pins,
): ReadonlyMap<string, string> {
  if ("silence" in known) return pins;
  const ids = new Map([...known.views].map(([name, view]) => [name, view.record.id]));
  for (const [name, id] of pins) ids.set(name, id);
  return ids;
}

/** `all` is who is enrolled, and needs no look into the folder; without a controller, who is pinned. */
async function everyHost(connection: Connection, pins: Pins): Promise<Chosen> {
  const known = await viewsOrSilence(connection, QUICK_MS);
  const ids =
    "silence" in known
      ? pins
      : new Map([...known.views].map(([name, view]) => [name, pins.get(name) ?? view.record.id]));
  return { hosts: withIds([...ids.keys()].sort(), ids), not_enrolled: [], unknown: [] };
}

/** A selector that names pinned hosts one by one needs nothing else; any other is judged by the folder. */
function byPins(pins: Pins, selector: string, not: readonly string[]): Chosen | null {
  const terms = selector.split(",").map((term) => term.trim());
  if (not.length > 0 || !terms.every((term) => pins.has(term))) return null;
  return { hosts: withIds([...new Set(terms)], pins), not_enrolled: [], unknown: [] };
}

const withIds = (names: readonly string[], ids: ReadonlyMap<string, string>) =>
  names.flatMap((name) => {
    const id = ids.get(name);
    return id === undefined ? [] : [{ name, id }];
  });

/** What a selector may choose by, of a host that is known by its record only. */
export const selectable = (view: HostView): Selectable => ({
  name: view.record.name,
  groups: view.record.groups,
  labels: {},
});

export const groupsOf = (views: ReadonlyMap<string, HostView>): string[] => [
  ...new Set([...views.values()].flatMap((view) => view.record.groups)),
];
