/**
 * The way from the folder to plans, shared by `plan` and `apply`: load and dial at once, read what was signed and what the controllers know at
 * once, then ask the hosts. Two round trips, however many hosts.
 */
import { callController, callOne } from "@muster/ports/call";
import { type Envelope, loadEnvelope } from "@muster/protocol/envelope";
import { FleetError } from "@muster/protocol/errors";
import type { OpenedManifest } from "@muster/protocol/manifest";
import type { HostView } from "@muster/protocol/record";
import { checkPins, type Pins } from "../fleet/pins.ts";
import { type CompiledHost, compileFleet, type Fleet } from "../inventory/fleet.ts";
import { needsOf } from "../inventory/selectors.ts";
import type { Context } from "../program/context.ts";
import { pick, tellUnknown } from "../roster/facts.ts";
import { type FolderHere, idsOf, viewsOrSilence } from "../roster/roster.ts";
import type { Connection, Session } from "../session/session.ts";
import { onlyOf, type Scope, scopeOf } from "./scope.ts";
import { type Host, headGeneration, lastSigned, type Stored, storedLast } from "./signed.ts";

/** The folder, rendered; and which hosts of it are meant. */
export type Wanted = {
  readonly fleet: Fleet;
  readonly compiled: readonly CompiledHost[];
  readonly selected: readonly string[];
  /** Hosts that were named one by one, whose absence is a failure. */
  readonly named: ReadonlySet<string>;
};

/** Everything that the fleet says before the hosts are asked. */
export type Ground = {
  /** Of enrolled hosts, by name. */
  readonly ids: ReadonlyMap<string, string>;
  readonly last: ReadonlyMap<string, OpenedManifest | null>;
  /** Hosts for which something else is stored than `last`: it has to go out again. */
  readonly renew: ReadonlySet<string>;
  readonly views: ReadonlyMap<string, HostView>;
  /** Null when no controller answers. */
  readonly generation: number | null;
  readonly controller: FleetError | null;
};

/** Loads and compiles. Errors: INVENTORY with every mistake, USAGE for an unknown name. The hosts are asked when the selector names a fact. */
export async function loadWanted(
  context: Context,
  session: Session,
  folder: FolderHere,
  selector: string | undefined,
): Promise<Wanted> {
  const loaded = await folder.load();
  const compiled = compileFleet(loaded);
  const { fleet } = loaded;
  if (fleet.name !== session.fleet)
    throw new FleetError(
      "USAGE",
      `this folder is of ${fleet.name}, and you are logged in to ${session.fleet}`,
    );
  const typed = selector ?? "all";
  const picked = await pick(
    context,
    {
      hosts: [...fleet.hosts.values()],
      groups: [...fleet.inventory.groups.keys()],
      connection: () => session.connect(),
      ids: async () => idsOf(await viewsOrSilence(await session.connect()), folder.pins),
    },
    typed,
  );
  tellUnknown(context, picked);
  const named = needsOf([typed]).names.filter((name) => fleet.hosts.has(name));
  return { fleet, compiled, selected: picked.names, named: new Set(named) };
}

/**
 * Reads the ground to build on, and holds names against hosts.lock.
 * Errors: NAME_TAKEN for another key than the pinned one; what cannot be verified.
 */
export async function readGround(
  session: Session,
  connection: Connection,
  wanted: Wanted,
  pins: Pins,
): Promise<Ground> {
  const { bus } = connection;
  const { verifier, fleet } = session;
  const inFolder = (name: string) => wanted.fleet.hosts.has(name);
  const pinned = [...pins].filter(([name]) => inFolder(name)).map(([name, id]) => ({ name, id }));
  const [known, head, first] = await Promise.all([
    viewsOrSilence(connection),
    callController(connection, "head", {}).catch((error: unknown) => {
      if (error instanceof FleetError && (error.code === "NO_RESPONDER" || error.code === "TIMEOUT"))
        return error;
      throw error;
    }),
    storedLast(bus, fleet, pinned, verifier),
  ]);
  const views = "silence" in known ? new Map<string, HostView>() : known.views;
  const reported = new Map(
    [...views].filter(([name]) => inFolder(name)).map(([name, view]) => [name, view.record.id]),
  );
  const { first: unpinned } = checkPins(pins, reported);
  const more = await storedLast(bus, fleet, unpinned, verifier);
  const { last, renew } = await proveLast(
    session,
    connection,
    [...pinned, ...unpinned],
    views,
    new Map([...first, ...more]),
  );
  // Without a controller the pins are all that is known of who is enrolled.
  const ids = "silence" in known ? new Map(pinned.map(({ name, id }) => [name, id])) : reported;
  const generation = head instanceof FleetError ? null : headGeneration(head, fleet, last.values(), verifier);
  return { ids, last, renew, views, generation, controller: head instanceof FleetError ? head : null };
}

/** What the host itself holds; null where it does not say. */
async function heldBy(connection: Connection, { id }: Host): Promise<Envelope | null> {
  try {
    const { envelope } = await callOne(connection, id, "manifest", {});
    return envelope === null ? null : loadEnvelope(envelope);
  } catch (error) {
    // Nothing rests on it: without it the ground is what is stored.
    if (error instanceof FleetError) return null;
    throw error;
  }
}

async function proveLast(
  { fleet, verifier }: Session,
  connection: Connection,
  hosts: readonly Host[],
  views: ReadonlyMap<string, HostView>,
  stored: ReadonlyMap<string, Stored>,
): Promise<Pick<Ground, "last" | "renew">> {
  const last = new Map<string, OpenedManifest | null>();
  const renew = new Set<string>();
  await Promise.all(
    hosts.map(async (host) => {
      const held = views.get(host.name)?.convergence ?? null;
      const found = await lastSigned(
        connection.bus,
        fleet,
        host,
        stored.get(host.name) ?? null,
        held,
        verifier,
        () => heldBy(connection, host),
      );
      last.set(host.name, found.last);
      if (found.renew) renew.add(host.name);
    }),
  );
  return { last, renew };
}

/** Refs of `--only` and the scope; see `scopeOf`. */
export function scopeFor(wanted: Wanted, ground: Ground, only: readonly string[]): Scope {
  const chosen = wanted.compiled.filter((host) => wanted.selected.includes(host.host));
  const refs = onlyOf(
    only,
    chosen,
    wanted.selected.map((name) => ground.last.get(name) ?? null),
  );
  return scopeOf(wanted.compiled, wanted.selected, ground, refs);
}
