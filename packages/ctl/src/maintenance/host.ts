/** The one host that maintenance is about, and what is known of it and of the others before anything is done. */
import { callMany } from "@muster/ports/call";
import { FleetError } from "@muster/protocol/errors";
import type { Bird } from "@muster/protocol/resources/bird";
import type { RpcReply } from "@muster/protocol/rpc/index";
import { type Host, storedLast } from "../apply/signed.ts";
import type { Context } from "../program/context.ts";
import { type Chosen, chooseHosts } from "../roster/roster.ts";
import type { Connection, Session } from "../session/session.ts";
import { announcedAlone, signedBird } from "./announced.ts";

/** A host that is silent announces nothing that one could rely on: it does not count. */
const STATUS_MS = 3_000;

export type Standing = RpcReply<"status">;

/** Hosts by selector, at least one and all of them enrolled. Errors: USAGE. */
export async function chosenHosts(
  context: Context,
  connection: Connection,
  selector: string,
): Promise<readonly Host[]> {
  const chosen: Chosen = await chooseHosts(context, async () => connection, selector);
  const missing = [...chosen.unknown, ...chosen.not_enrolled];
  if (missing.length > 0) throw new FleetError("USAGE", `not enrolled: ${missing.join(", ")}`);
  if (chosen.hosts.length === 0) throw new FleetError("USAGE", `${selector} is no host`);
  return chosen.hosts;
}

/** Exactly one. Errors: USAGE. */
export async function oneHost(context: Context, connection: Connection, selector: string): Promise<Host> {
  const [host, ...more] = await chosenHosts(context, connection, selector);
  if (host === undefined || more.length > 0)
    throw new FleetError("USAGE", `${selector} is more than one host: this is done one at a time`);
  return host;
}

export type Surroundings = {
  readonly bird: Bird | null;
  readonly standing: Standing;
  /** Its prefixes that no other host announces that answers and is not drained. */
  readonly alone: readonly string[];
};

/** Errors: those of the bus, and what the host itself answers; TIMEOUT when it is silent. */
export async function surroundings(
  context: Context,
  session: Session,
  connection: Connection,
  host: Host,
): Promise<Surroundings> {
  const all = await chooseHosts(context, async () => connection, "all");
  const hosts = [host, ...all.hosts.filter(({ id }) => id !== host.id)];
  const [signed, standings] = await Promise.all([
    storedLast(connection.bus, session.fleet, hosts, session.verifier),
    callMany(
      connection,
      hosts.map(({ id }) => id),
      "status",
      {},
      { timeout_ms: STATUS_MS, signal: context.signal },
    ),
  ]);
  const refused = standings.failed.get(host.id);
  if (refused !== undefined) throw refused;
  const standing = standings.answered.get(host.id);
  if (standing === undefined) throw new FleetError("TIMEOUT", `${host.name} is silent`);
  const birdOf = (name: string): Bird | null => {
    const stored = signed.get(name);
    return stored == null || stored instanceof FleetError ? null : signedBird(stored.manifest.content);
  };
  const others = hosts.slice(1).flatMap(({ name, id }) => {
    const there = standings.answered.get(id);
    const bird = birdOf(name);
    return bird === null || there === undefined || there.convergence.drained != null ? [] : [bird];
  });
  const bird = birdOf(host.name);
  return { bird, standing, alone: bird === null ? [] : announcedAlone(bird, others) };
}
