/**
 * What a running broker needs: the accounts' newest JWTs, the streams, the trust bundle. Reads first and writes what differs; a stream is made or
 * changed, never deleted.
 */
import { type Bus, connectBus } from "@muster/ports/bus";
import type { Vault } from "@muster/ports/vault";
import { canonicalize } from "@muster/protocol/canonical";
import { loadEnvelope, type StoredEnvelope, storeEnvelope } from "@muster/protocol/envelope";
import { FleetError, parseJson } from "@muster/protocol/errors";
import { createNkey, signEd25519 } from "@muster/protocol/nkey";
import { STREAMS, streamConfig } from "@muster/protocol/streams";
import { subjects } from "@muster/protocol/subjects";
import { TrustBundle } from "@muster/protocol/trust";
import { z } from "zod";
import { mintByTransit } from "../session/login.ts";
import { claimsOf } from "./accounts.ts";
import { readBundle } from "./bundle.ts";
import { heldAccounts, pushAccount } from "./claims.ts";
import type { MadeFleet } from "./state.ts";
import type { TransitKey } from "./vault-roles.ts";
import type { Changes } from "./vault-setup.ts";

const ACCESS_MS = 600_000;
const TIMEOUT_MS = 10_000;
const EMPTY = new Uint8Array();

/**
 * @param servers where the broker is reached from here
 * Errors: BUS_UNREACHABLE when no broker runs there, NOT_LOGGED_IN when it runs with another fleet's configuration.
 */
export async function setUpBroker(
  made: MadeFleet,
  servers: readonly string[],
  vault: Vault,
  now: () => number,
  changes: Changes,
  signal: AbortSignal,
): Promise<void> {
  const as = (role: TransitKey, account: string) =>
    connectAs({ ...made, addresses: [...servers] }, vault, role, account, now(), signal);
  const { bus: system } = await as("sys-admin", made.accounts.system);
  try {
    await pushAccounts(system, made, changes);
  } finally {
    await system.close();
  }
  const { bus: setup } = await as("fleet-setup", made.accounts.fleet);
  try {
    for (const spec of STREAMS) await ensureStream(setup, streamConfig(spec, 1), changes);
    await publishTrust(setup, made.bundle, changes);
  } finally {
    await setup.close();
  }
}

/** What a running broker holds; `bundle` is null before the first one is published. */
export type BrokerThere = {
  /** Public account nkey → JWT. */
  readonly accounts: ReadonlyMap<string, string>;
  readonly bundle: StoredEnvelope | null;
};

/**
 * What the broker holds, which may void more than this machine knows of: an admin revokes from wherever he is.
 * Null where none runs yet, or one with another fleet's configuration.
 */
export async function brokerThere(
  made: Pick<MadeFleet, "broker_ca" | "accounts">,
  servers: readonly string[],
  vault: Vault,
  now_ms: number,
  signal: AbortSignal,
): Promise<BrokerThere | null> {
  const ask = async <T>(
    role: TransitKey,
    account: string,
    question: (bus: Bus) => Promise<T>,
  ): Promise<T> => {
    const { bus } = await connectAs({ ...made, addresses: servers }, vault, role, account, now_ms, signal);
    try {
      return await question(bus);
    } finally {
      await bus.close();
    }
  };
  try {
    const [accounts, bundle] = await Promise.all([
      ask("sys-admin", made.accounts.system, heldAccounts),
      ask("fleet-setup", made.accounts.fleet, newestTrust),
    ]);
    return { accounts, bundle };
  } catch (error) {
    const away = error instanceof FleetError && ["BUS_UNREACHABLE", "NOT_LOGGED_IN"].includes(error.code);
    if (!away) throw error;
    return null;
  }
}

/** The newest bundle of the stream, unproved; null without one, or without the stream. */
export async function newestTrust(bus: Bus): Promise<StoredEnvelope | null> {
  try {
    const held = await bus.directGet("TRUST", subjects.trust());
    return held === null ? null : storeEnvelope({ headers: held.headers, body: held.body });
  } catch (error) {
    if (error instanceof FleetError && error.code === "NO_RESPONDER") return null;
    throw error;
  }
}

/** A connection with the rights to make and copy streams, and the prefix of its inboxes. */
export async function connectSetUp(
  made: MadeFleet,
  servers: readonly string[],
  vault: Vault,
  now_ms: number,
  signal: AbortSignal,
): Promise<{ bus: Bus; inbox: string }> {
  const there = { ...made, addresses: [...servers] };
  return connectAs(there, vault, "fleet-setup", made.accounts.fleet, now_ms, signal);
}

/** A connection in that account with the rights of one role, which Vault signs for. */
export async function connectAs(
  made: { readonly addresses: readonly string[]; readonly broker_ca: string },
  vault: Vault,
  role_key: TransitKey,
  account: string,
  now_ms: number,
  signal: AbortSignal,
): Promise<{ bus: Bus; inbox: string }> {
  const nkey = createNkey("user");
  const who = { name: "init", id: nkey.public, ends_ms: now_ms + ACCESS_MS };
  const { user_jwt } = await mintByTransit(vault, role_key, who, now_ms, account);
  const inbox = subjects.inboxPrefix(nkey.public);
  const bus = await connectBus(
    {
      servers: made.addresses,
      ca_pem: made.broker_ca,
      name: "ctl init",
      inbox_prefix: inbox,
      credentials: () => ({ jwt: user_jwt, sign: (nonce) => signEd25519(nkey.key, nonce) }),
      first_connect: "once",
      connect_timeout_ms: 3_000,
    },
    signal,
  );
  return { bus, inbox };
}

/** What the broker lacks of ours. */
async function pushAccounts(system: Bus, made: MadeFleet, changes: Changes): Promise<void> {
  const held = await heldAccounts(system);
  for (const [key, jwt] of Object.entries(made.account_jwts)) {
    const known = held.get(key);
    if (known !== undefined && claimsOf(known) === claimsOf(jwt)) continue;
    await pushAccount(system, jwt);
    changes.made.push(`account ${key.slice(0, 8)}…`);
  }
}

const StreamAnswer = z.object({
  config: z.record(z.string(), z.unknown()).optional(),
  error: z.object({ code: z.int(), description: z.string().default("") }).optional(),
});

async function api(bus: Bus, verb: "INFO" | "CREATE" | "UPDATE", name: string, body: Uint8Array) {
  const answer = await bus.request(`$JS.API.STREAM.${verb}.${name}`, body, { timeout_ms: TIMEOUT_MS });
  return parseJson(StreamAnswer, answer.body, `the broker's answer about stream ${name}`);
}

async function ensureStream(bus: Bus, wanted: Record<string, unknown>, changes: Changes): Promise<void> {
  const name = String(wanted.name);
  const held = await api(bus, "INFO", name, EMPTY);
  if (held.error !== undefined && held.error.code !== 404) {
    throw new FleetError("FAILED", `stream ${name}: ${held.error.description}`);
  }
  const config = held.config;
  // The server leaves out what is off or empty.
  const same = (value: unknown, other: unknown) =>
    canonicalize(value ?? null) === canonicalize(other ?? null) || (!value && !other);
  if (config !== undefined && Object.keys(wanted).every((field) => same(wanted[field], config[field])))
    return;
  const body = Buffer.from(JSON.stringify(config === undefined ? wanted : { ...config, ...wanted }));
  const answer = await api(bus, config === undefined ? "CREATE" : "UPDATE", name, body);
  if (answer.error !== undefined)
    throw new FleetError("FAILED", `stream ${name}: ${answer.error.description}`);
  changes.made.push(`stream ${name}`);
}

/** Publishes our bundle where none, or an older one, is held. One that is newer came from an admin later and stays. */
async function publishTrust(bus: Bus, stored: StoredEnvelope, changes: Changes): Promise<void> {
  const held = await bus.directGet("TRUST", subjects.trust());
  const ours = readBundle(stored);
  if (held !== null && parseJson(TrustBundle, held.body, "trust bundle").version >= ours.version) return;
  const { headers, body } = loadEnvelope(stored);
  await bus.publishStored(subjects.trust(), body, { headers, expected_last_subject_seq: held?.seq ?? 0 });
  changes.made.push(`trust bundle ${ours.version}`);
}
