/**
 * A fleet's first server, in an order in which every step can be repeated: Vault, keys and papers, broker, controller, the person, the server's own
 * agent. Each step looks first, so that a run that was cut off is gone on with, and one on a finished server changes nothing.
 */
import { join } from "node:path";
import type { Vault } from "@muster/ports/vault";
import { brokerThere, setUpBroker } from "../fleet/broker-setup.ts";
import { removeUnfinished } from "../fleet/disk.ts";
import type { GivenVault, InitInput } from "../fleet/init-input.ts";
import { keepProfile, LOCAL_BROKER, type Made, makeFleet, type Order } from "../fleet/make.ts";
import { hostOf } from "../fleet/networks.ts";
import { hasLogin, putPerson } from "../fleet/people.ts";
import type { MadeFleet } from "../fleet/state.ts";
import { LOOPBACK } from "../fleet/vault-roles.ts";
import type { Changes } from "../fleet/vault-setup.ts";
import type { Context } from "../program/context.ts";
import { byPassword, logIn } from "../session/login.ts";
import { noteAct } from "../session/note.ts";
import type { Profile } from "../session/profile.ts";
import { type Session, sessionOf } from "../session/session.ts";
import { lacking, loadSession, saveSession } from "../session/stored.ts";
import { joinHere } from "./own-agent.ts";
import { giveTo, makeConfigRoot } from "./owner.ts";
import { BROKER, CONTROLLER, type Service } from "./ready.ts";
import { keepRunning, untilListening } from "./units.ts";
import { forgetKeys, OWN_VAULT, type OwnVault, ownVault, type Unseal } from "./vault.ts";
import { VAULT_STORE } from "./vault-config.ts";

/** Beneath it lies what `ctl init` writes: fleet.json, fleet-string, and a directory a service. */
export const CONFIG_ROOT = "/etc/muster";
const START_MS = 40_000;

export type ServerOrder = InitInput & {
  readonly admin: string;
  /** This server's name in the fleet. */
  readonly name: string;
  readonly unseal: Unseal | undefined;
  readonly audit_file: string | undefined;
  /** Made again from a backup: with the broker running and empty, what has to be in it before streams are made. */
  readonly fill?: (state: MadeFleet, vault: Vault) => Promise<void>;
  /** The person's password: a new one, or that of a log-in that exists. */
  password(is_new: boolean): Promise<string>;
};

export type ServerMade = Made & {
  readonly changes: Changes;
  readonly vault_addresses: readonly string[];
  /** null for a Vault that is somebody else's. */
  readonly unseal: Unseal | null;
};

export async function makeServer(
  context: Context,
  order: ServerOrder,
  say: (text: string) => void,
): Promise<ServerMade> {
  const changes: Changes = { made: [], warnings: [] };
  const signal = context.asking;
  await makeConfigRoot(CONFIG_ROOT);
  await removeUnfinished(CONFIG_ROOT);
  say("Vault: started and opened");
  const own = order.given_vault === null ? await openOwn(order, changes, signal) : null;
  const vault = own?.vault ?? (order.given_vault as GivenVault).vault;
  try {
    say("Vault: mounts, keys, roles, policies");
    const made = await makeFleet(fleetOrder(order, own, vault, context.now, signal), changes);
    await keepProfile(context.home, made.profile);
    if (own?.unseal === "manual") await forgetKeys(changes);
    say("broker");
    await run(BROKER, "nats", ["nats-server.conf", "tls.crt"], changes, signal);
    await order.fill?.(made.state, vault);
    await setUpBroker(made.state, [LOCAL_BROKER], vault, context.now, changes, signal);
    say("controller");
    await run(CONTROLLER, "controller", ["config.json", "secret_id", "broker-ca.pem"], changes, signal);
    say(order.admin);
    const session = await person(context, order, vault, made.profile, own !== null, changes);
    say(`${order.name}: joining`);
    await joinHere(order.name, session, vault, changes, context.now, signal);
    await noteMade(context, order, made.profile, changes);
    return {
      ...made,
      changes,
      vault_addresses: made.profile.bundle.vault,
      unseal: own?.unseal ?? null,
    };
  } finally {
    // A root token ends with the command, however it ends.
    await own?.vault.revokeSelf().catch(() => undefined);
  }
}

/** Who is not logged in is not asked for a password for that alone. */
async function noteMade(
  context: Context,
  order: ServerOrder,
  profile: Profile,
  changes: Changes,
): Promise<void> {
  const stored = await loadSession(context.home, order.fleet);
  if (changes.made.length === 0 || stored === null || lacking(stored, "viewer", context.now()) !== null)
    return;
  const near = { ...profile, brokers: [LOCAL_BROKER] };
  const what = order.fill === undefined ? ("init" as const) : ("restore" as const);
  const target = `${order.name}: ${changes.made.join(", ")}`;
  const session = sessionOf(context, near, stored);
  await noteAct(context, session, { what, target, result: "done" });
}

function openOwn(order: ServerOrder, changes: Changes, signal: AbortSignal): Promise<OwnVault> {
  const kept = async () => ((await order.kit.exists()) ? ((await order.kit.open()).vault_keys ?? []) : []);
  return ownVault(order.addresses.map(hostOf), order.unseal, kept, changes, signal);
}

function fleetOrder(
  order: ServerOrder,
  own: OwnVault | null,
  vault: Vault,
  now: () => number,
  signal: AbortSignal,
): Order {
  const { fleet, addresses, admin, kit, given_vault, networks } = order;
  const vault_addresses =
    given_vault?.addresses ?? addresses.map((address) => `https://${address.replace(/(:\d+)$/, "")}:8200`);
  return {
    fleet,
    addresses,
    here: true,
    vault,
    vault_addresses,
    controller_vault: own === null ? vault_addresses : [OWN_VAULT],
    vault_ca: own?.ca_pem ?? given_vault?.ca_pem ?? "",
    vault_keys: own?.keys,
    admin,
    out: CONFIG_ROOT,
    kit,
    // The controller here speaks to a Vault here: its log-in is worth nothing elsewhere.
    controller_networks: networks.length > 0 ? networks : own === null ? undefined : LOOPBACK,
    restored: order.fill !== undefined,
    audit_file:
      order.audit_file ?? (own === null ? "/var/log/vault/audit.log" : join(VAULT_STORE, "audit.log")),
    held: (made) => brokerThere(made, [LOCAL_BROKER], vault, now(), signal),
    now,
  };
}

async function run(
  service: Service,
  directory: string,
  files: readonly string[],
  changes: Changes,
  signal: AbortSignal,
): Promise<void> {
  const path = join(CONFIG_ROOT, directory);
  await giveTo(service.user, path, signal);
  const paths = files.map((file) => join(path, file));
  if (await keepRunning(service.unit, paths, START_MS, signal)) changes.made.push(service.unit);
  if (service.port !== null) await untilListening(service.port, START_MS, signal);
}

/** Makes the person and logs in, where that is not done; gives the session to whoever needs it. */
async function person(
  context: Context,
  order: ServerOrder,
  vault: Vault,
  profile: Profile,
  own: boolean,
  changes: Changes,
): Promise<() => Promise<Session>> {
  const { admin } = order;
  const is_new = !(await hasLogin(vault, admin));
  const password = is_new ? await order.password(true) : null;
  if (await putPerson(vault, { name: admin, rank: "admin", password })) changes.made.push(`${admin}, admin`);
  // By the way that needs no name service and no open port.
  const near = {
    ...profile,
    brokers: [LOCAL_BROKER],
    bundle: own ? { ...profile.bundle, vault: [OWN_VAULT] } : profile.bundle,
  };
  const session = async (): Promise<Session> => {
    const stored = await loadSession(context.home, order.fleet);
    if (stored !== null && lacking(stored, "operator", context.now()) === null)
      return sessionOf(context, profile, stored);
    const given = password ?? (await order.password(false));
    const way = byPassword(admin, given);
    const fresh = await logIn(near, { person: admin, way }, context.now, context.asking);
    await saveSession(context.home, order.fleet, fresh);
    changes.made.push(`${admin} logged in here`);
    return sessionOf(context, profile, fresh);
  };
  if (is_new) await session();
  return session;
}
