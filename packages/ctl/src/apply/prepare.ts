/**
 * The way from the folder to plans, shared by `plan` and `apply`: load and dial at once, read what was signed and what the controllers know at
 * once, then ask the hosts. Two round trips, however many hosts.
 */
import { callController, callOne } from "@muster/ports/call";
import type { ControlReply } from "@muster/protocol/control/index";
import { type Envelope, loadEnvelope } from "@muster/protocol/envelope";
import { FleetError } from "@muster/protocol/errors";
import type { OpenedManifest } from "@muster/protocol/manifest";
import { checkPins, type Pins } from "../fleet/pins.ts";
import { type CompiledHost, compileFleet, type Fleet } from "../inventory/fleet.ts";
import { needsOf } from "../inventory/selectors.ts";
import type { Context } from "../program/context.ts";
import { pick, tellUnknown } from "../roster/facts.ts";
import {
  type FolderHere,
  type Glance,
  type Glances,
  glances,
  idsOf,
  viewsOrSilence,
} from "../roster/roster.ts";
import type { Connection, Session } from "../session/session.ts";
import type { Said } from "./outcome.ts";
import { onlyOf, type Scope, scopeOf } from "./scope.ts";
import {
  type Held,
  type Host,
  headGeneration,
  lastSigned,
  proveStored,
  readStored,
  type Stored,
  storedLast,
  type Unproved,
} from "./signed.ts";

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
  /** The last word of each host, by name. */
  readonly said: ReadonlyMap<string, Said>;
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

/** What the fleet is asked whatever the folder says: it can be on its way while that is rendered. */
export type Asked = {
  readonly known: Promise<Glances | { silence: FleetError }>;
  readonly head: Promise<ControlReply<"head"> | FleetError>;
  /** Of the pinned hosts. */
  readonly stored: Promise<Unproved>;
};

export function askGround(connection: Connection, pins: Pins): Asked {
  const asked: Asked = {
    known: glances(connection),
    head: callController(connection, "head", {}).catch((error: unknown) => {
      if (error instanceof FleetError && (error.code === "NO_RESPONDER" || error.code === "TIMEOUT"))
        return error;
      throw error;
    }),
    stored: readStored(connection.bus, hostsOf(pins)),
  };
  // Told where they are waited for.
  for (const each of Object.values(asked)) each.catch(() => undefined);
  return asked;
}

const hostsOf = (pins: Pins): Host[] => [...pins].map(([name, id]) => ({ name, id }));

/**
 * Reads the ground to build on, and holds names against hosts.lock.
 * @param asked on its way already
 * Errors: NAME_TAKEN for another key than the pinned one; what cannot be verified.
 */
export async function readGround(
  session: Session,
  connection: Connection,
  wanted: Wanted,
  pins: Pins,
  asked?: Asked,
): Promise<Ground> {
  const { verifier, fleet } = session;
  const inFolder = (name: string) => wanted.fleet.hosts.has(name);
  const here = new Map([...pins].filter(([name]) => inFolder(name)));
  const pinned = hostsOf(here);
  const { known, head, stored } = asked ?? askGround(connection, here);
  const first = proveStored(fleet, pinned, await stored, verifier);
  const [there, newest, proved] = await Promise.all([known, head, first]);
  const all = "silence" in there ? new Map<string, Glance>() : there.hosts;
  const reported = new Map([...all].filter(([name]) => inFolder(name)).map(([name, { id }]) => [name, id]));
  const { first: unpinned } = checkPins(pins, reported);
  const more = await storedLast(connection.bus, fleet, unpinned, verifier);
  const { last, renew } = await proveLast(
    session,
    connection,
    [...pinned, ...unpinned],
    all,
    new Map([...proved, ...more]),
  );
  return {
    // Without a controller the pins are all that is known of who is enrolled.
    ids: "silence" in there ? here : reported,
    last,
    renew,
    said: new Map([...all].flatMap(([name, glance]) => saidBy(name, glance))),
    generation: newest instanceof FleetError ? null : headGeneration(newest, fleet, last.values(), verifier),
    controller: newest instanceof FleetError ? newest : null,
  };
}

/** A brief is of a host that is converged. */
function saidBy(name: string, glance: Glance): [string, Said][] {
  if ("brief" in glance) return [[name, { state: "converged", since: glance.brief.since, detail: "" }]];
  const { convergence } = glance.view;
  return convergence === null ? [] : [[name, convergence]];
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
  all: ReadonlyMap<string, Glance>,
  stored: ReadonlyMap<string, Stored>,
): Promise<Pick<Ground, "last" | "renew">> {
  const last = new Map<string, OpenedManifest | null>();
  const renew = new Set<string>();
  let views: ReturnType<typeof viewsOrSilence> | undefined;
  // A brief does not say which rollout brought what the host holds, and few are asked: those that hold something newer than what is stored.
  const releaseOf = async (name: string): Promise<string | null> => {
    views ??= viewsOrSilence(connection);
    const whole = await views;
    return "silence" in whole ? null : (whole.views.get(name)?.convergence?.release ?? null);
  };
  const heldOf = (name: string): Held | null => {
    const glance = all.get(name);
    if (glance === undefined) return null;
    if ("brief" in glance) return { generation: glance.brief.generation, release: () => releaseOf(name) };
    const { convergence } = glance.view;
    if (convergence === null) return null;
    return { generation: convergence.generation, release: async () => convergence.release };
  };
  await Promise.all(
    hosts.map(async (host) => {
      const found = await lastSigned(
        connection.bus,
        fleet,
        host,
        stored.get(host.name) ?? null,
        heldOf(host.name),
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
