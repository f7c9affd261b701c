/**
 * Who there is: the folder's hosts, the keys pinned in hosts.lock, and what the controllers know, joined by name. Selectors choose from it.
 * Each part is only fetched when it is needed: a ping of pinned hosts needs neither rendering nor a controller.
 */
import { callController } from "@muster/ports/call";
import type { AlertSummary } from "@muster/protocol/alert";
import type { BackupReport } from "@muster/protocol/backup";
import type { HostBrief } from "@muster/protocol/brief";
import type { ControlReply } from "@muster/protocol/control/index";
import type { MissingHost } from "@muster/protocol/declared";
import { FleetError } from "@muster/protocol/errors";
import type { HostView } from "@muster/protocol/record";
import { fleetOfFolder } from "../fleet/folder.ts";
import { loadPins, type Pins } from "../fleet/pins.ts";
import type { LoadedFleet } from "../inventory/fleet.ts";
import { findFleetFolder } from "../inventory/folder.ts";
import { needsOf, type Selectable } from "../inventory/selectors.ts";
import type { Context } from "../program/context.ts";
import type { Connection } from "../session/session.ts";
import { type Declared, declaredAtAGlance } from "./declared.ts";
import { type Picked, pick } from "./facts.ts";

/** Records with their last samples are some ten kilobytes a host, and a message holds a megabyte. */
const PAGE = 50;
/** A brief takes some 400 bytes. */
const GLANCE_PAGE = 2_000;
const NAMES_PAGE = 4_000;
/** Where the pins do as well, a controller that hangs is not waited for. */
const QUICK_MS = 1_000;

/** The fleet folder that the person stands in. */
export type FolderHere = {
  readonly root: string;
  readonly pins: Pins;
  /** Reads and renders all of it, once. Mistakes in files are `problems`. */
  load(): Promise<LoadedFleet>;
  /** What selectors choose from. Without labels it reads hosts.yml only, which takes a fraction of the time. */
  declared(labels: boolean): Promise<Declared>;
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
      const quick = labels ? null : await declaredAtAGlance(root, context.home);
      if (quick !== null) return quick;
      const { fleet } = await load();
      return { hosts: [...fleet.hosts.values()], groups: [...fleet.inventory.groups.keys()] };
    },
  };
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

export type HostViews = {
  readonly views: Map<string, HostView>;
  /** Declared by an apply, and no machine ever joined as them. */
  readonly missing: readonly MissingHost[];
  readonly now: number;
  /** Since when the broker stores nothing; null while it does. */
  readonly stalled_since: number | null;
  /** null: they go nowhere yet; undefined: not made where a controller knows of it. */
  readonly backup: BackupReport | null | undefined;
  /** null: no controller has looked yet; undefined: it cannot be known. */
  readonly alerts: AlertSummary | null | undefined;
};

/** Every host that the controllers know, by name. Errors: NO_RESPONDER without a controller, TIMEOUT. */
export async function hostViews(connection: Connection, timeout_ms?: number): Promise<HostViews> {
  const views = new Map<string, HostView>();
  const missing: MissingHost[] = [];
  let after: string | null = null;
  let alerts: HostViews["alerts"];
  for (;;) {
    const page: Awaited<ReturnType<typeof askPage>> = await askPage(connection, after, timeout_ms);
    if (after === null) alerts = page.alerts;
    for (const view of page.hosts) if (view.record.state === "enrolled") views.set(view.record.name, view);
    missing.push(...(page.missing ?? []));
    if (page.next === null) {
      const { now, stalled_since = null, backup } = page;
      return { views, missing, now, stalled_since, backup, alerts };
    }
    after = page.next;
  }
}

const askPage = (connection: Connection, after: string | null, timeout_ms: number | undefined) =>
  callController(connection, "hosts", { after, limit: PAGE }, timeout_ms === undefined ? {} : { timeout_ms });

/** What the controllers know of a host: its record and samples, or a brief where there is nothing to say of it. */
export type Glance = { readonly name: string; readonly id: string; readonly groups: readonly string[] } & (
  | { readonly view: HostView }
  | { readonly brief: HostBrief }
);

export type Glances = Pick<HostViews, "missing" | "now" | "stalled_since" | "backup" | "alerts"> & {
  readonly hosts: Map<string, Glance>;
};

/** As `hostViews`, with briefs: the pages of a large fleet are few, and soon read. */
export async function glances(connection: Connection): Promise<Glances | { silence: FleetError }> {
  const hosts = new Map<string, Glance>();
  const missing: MissingHost[] = [];
  try {
    let after: string | null = null;
    let alerts: Glances["alerts"];
    for (;;) {
      const page: ControlReply<"hosts"> = await callController(connection, "hosts", {
        after,
        limit: GLANCE_PAGE,
        brief: true,
      });
      if (after === null) alerts = page.alerts;
      for (const brief of page.brief ?? []) hosts.set(brief.name, { ...nameOf(brief), brief });
      for (const view of page.hosts)
        if (view.record.state === "enrolled") hosts.set(view.record.name, { ...nameOf(view.record), view });
      missing.push(...(page.missing ?? []));
      if (page.next === null)
        return {
          hosts: new Map([...hosts].sort(byName)),
          missing,
          now: page.now,
          stalled_since: page.stalled_since ?? null,
          backup: page.backup,
          alerts,
        };
      after = page.next;
    }
  } catch (error) {
    if (isSilence(error)) return { silence: error };
    throw error;
  }
}

const nameOf = ({ name, id, groups }: { name: string; id: string; groups: readonly string[] }) => ({
  name,
  id,
  groups,
});
const byName = ([one]: [string, unknown], [other]: [string, unknown]) => (one < other ? -1 : 1);

const isSilence = (error: unknown): error is FleetError =>
  error instanceof FleetError && (error.code === "NO_RESPONDER" || error.code === "TIMEOUT");

/** As `hostViews`; null, with the reason, when no controller answers. */
export async function viewsOrSilence(
  connection: Connection,
  timeout_ms?: number,
): Promise<HostViews | { silence: FleetError }> {
  try {
    return await hostViews(connection, timeout_ms);
  } catch (error) {
    if (isSilence(error)) return { silence: error };
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
  // Where there is no folder, what the last apply said of it.
  const hosts = [...[...there.views.values()].map(selectable), ...there.missing.map(unlabelled)];
  const groups = [...new Set(hosts.flatMap((host) => host.groups))];
  return chosenOf(await pick(context, { hosts, groups, connection, ids }, selector), await ids());
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
  const enrolled = await enrolledHosts(connection).catch((error: unknown) => {
    if (isSilence(error)) return pins;
    throw error;
  });
  const ids = new Map([...enrolled].map(([name, id]) => [name, pins.get(name) ?? id]));
  return { hosts: withIds([...ids.keys()].sort(), ids), not_enrolled: [], unknown: [] };
}

/** Ids by name, as the controllers have them. Errors: as `hostViews`. */
async function enrolledHosts(connection: Connection): Promise<ReadonlyMap<string, string>> {
  const ids = new Map<string, string>();
  let after: string | null = null;
  do {
    const page: ControlReply<"names"> = await callController(
      connection,
      "names",
      { after, limit: NAMES_PAGE },
      { timeout_ms: QUICK_MS },
    );
    for (const { name, id } of page.hosts) ids.set(name, id);
    after = page.next;
  } while (after !== null);
  return ids;
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
export const selectable = (view: HostView): Selectable => unlabelled(view.record);

export const unlabelled = ({ name, groups }: { name: string; groups: readonly string[] }): Selectable => ({
  name,
  groups,
  labels: {},
});

export const groupsOf = (views: ReadonlyMap<string, HostView>): string[] => [
  ...new Set([...views.values()].flatMap((view) => view.record.groups)),
];
