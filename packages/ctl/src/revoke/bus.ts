/**
 * The broker's part of a revocation: account FLEET takes the keys no more, and what is connected with them is closed. An admin's own right, signed by
 * Vault Transit; no controller takes part.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Bus } from "@muster/ports/bus";
import { transit } from "@muster/ports/transit";
import type { Vault } from "@muster/ports/vault";
import { FleetError } from "@muster/protocol/errors";
import { type JwtSigner, revocationsOf, withRevocations } from "@muster/protocol/jwt";
import { encodePublic } from "@muster/protocol/nkey";
import { connectAs } from "../fleet/broker-setup.ts";
import { heldAccounts, pushAccount } from "../fleet/claims.ts";
import { revoking } from "../fleet/revocations.ts";
import { FLEET_RECORD, FleetRecord } from "../session/login.ts";
import type { Session } from "../session/session.ts";
import { type Connected, connections, kick } from "./connections.ts";

const TRIES = 5;
/** The server closes by itself when the account changes; what is left after this is closed by hand. */
const CLOSES_ITSELF_MS = 1_000;
const LOOK_MS = 20;
/** For a key of which nobody knows when its credential ends. */
const UNKNOWN_END_MS = 366 * 86_400_000;

export type BusOrder = {
  /** Public user nkey → when its credential ends, milliseconds since 1970. */
  readonly keys: ReadonlyMap<string, number>;
  /** Whose connections are looked for as well, by the name in their JWT: an admin's access need not be on record. Hosts are not meant. */
  readonly person: string | null;
};

export type BusDone = {
  /** Keys that are void now. */
  readonly keys: number;
  /** Whether that was news to the broker. */
  readonly changed: boolean;
  /** Connections that were there and are closed. */
  readonly closed: number;
  /** From the push until the last of them was gone; null when there was none. */
  readonly closed_ms: number | null;
  /** Of them, those that had to be closed by hand. */
  readonly kicked: number;
};

/** By the admin's own right at Vault, or by the recovery kit. Errors: BUS_*, VAULT_*, FAILED with what is still connected. */
export async function voidOnBus(
  session: Pick<Session, "profile" | "seeds" | "vault">,
  order: BusOrder,
  now: () => number,
  signal: AbortSignal,
): Promise<BusDone> {
  const { system, account, signer } = await rights(session, now(), signal);
  try {
    return await voidIn(system, account, signer, order, now);
  } finally {
    await system.close();
  }
}

async function rights(
  { profile, seeds, ...session }: Pick<Session, "profile" | "seeds" | "vault">,
  now_ms: number,
  signal: AbortSignal,
): Promise<{ system: Bus; account: string; signer: JwtSigner }> {
  if (seeds !== null) {
    const { accountOf, connectByKit, operatorOf } = await import("../fleet/kit-bus.ts");
    const system = await connectByKit(seeds, "system", profile, now_ms, signal);
    return { system, account: accountOf(seeds), signer: operatorOf(seeds) };
  }
  const vault = await session.vault();
  const { accounts } = (await vault.read(FLEET_RECORD, FleetRecord)).data;
  const there = { addresses: profile.brokers, broker_ca: profile.broker_ca };
  const [{ bus: system }, signer] = await Promise.all([
    connectAs(there, vault, "sys-admin", accounts.system, now_ms, signal),
    signerOf(vault),
  ]);
  return { system, account: accounts.fleet, signer };
}

async function signerOf(vault: Vault): Promise<JwtSigner> {
  const keys = transit(vault);
  const issuer = encodePublic("operator", await keys.publicKey("operator-signing"));
  return { issuer, sign: (data) => keys.signEd25519("operator-signing", data) };
}

/** As `voidOnBus`, over a connection in account SYS. */
export async function voidIn(
  system: Bus,
  account: string,
  signer: JwtSigner,
  order: BusOrder,
  now: () => number,
): Promise<BusDone> {
  const held = await fleetJwt(system, account);
  const agents = scopeOf(held, "agent");
  const meant = (one: Connected) =>
    order.keys.has(one.key) || (one.name === order.person && one.scope !== agents);
  const before = await connections(system, account, meant);
  const keys = new Map(order.keys);
  for (const { key, ends } of before)
    keys.set(key, Math.max(keys.get(key) ?? 0, Math.min(ends, now() + UNKNOWN_END_MS)));
  const began = performance.now();
  const changed = await pushRevocations(system, account, held, signer, keys, now);
  const { kicked, closed_ms } = await untilClosed(system, account, new Set(keys.keys()), before, began);
  return { keys: keys.size, changed, closed: before.length, closed_ms, kicked };
}

async function fleetJwt(system: Bus, account: string): Promise<string> {
  const held = (await heldAccounts(system)).get(account);
  if (held === undefined) throw new FleetError("NOT_FOUND", "the broker does not hold account FLEET");
  return held;
}

/** The public signing key of a role, as the account names it. */
function scopeOf(jwt: string, role: string): string | undefined {
  const body = JSON.parse(Buffer.from(jwt.split(".")[1] ?? "", "base64url").toString()) as {
    nats?: { signing_keys?: { role?: string; key?: string }[] };
  };
  return body.nats?.signing_keys?.find((scope) => scope.role === role)?.key;
}

/** The broker has no compare-and-set for accounts: reads after writing, and writes again what somebody else's push took away. */
async function pushRevocations(
  system: Bus,
  account: string,
  held: string,
  signer: JwtSigner,
  keys: ReadonlyMap<string, number>,
  now: () => number,
): Promise<boolean> {
  let jwt = held;
  for (let tries = 0; tries < TRIES; tries++) {
    const next = revoking(revocationsOf(jwt), keys, now());
    if (next === null) return tries > 0;
    await pushAccount(system, await withRevocations(jwt, next, signer, now()));
    jwt = await fleetJwt(system, account);
  }
  throw new FleetError("CONFLICT", "somebody else changes the account all the time");
}

async function untilClosed(
  system: Bus,
  account: string,
  keys: ReadonlySet<string>,
  before: readonly Connected[],
  began: number,
): Promise<{ kicked: number; closed_ms: number | null }> {
  if (before.length === 0) return { kicked: 0, closed_ms: null };
  let kicked = 0;
  for (;;) {
    const left = await connections(system, account, (one) => keys.has(one.key));
    const took_ms = performance.now() - began;
    if (left.length === 0) return { kicked, closed_ms: Math.round(took_ms) };
    if (took_ms > 2 * CLOSES_ITSELF_MS) {
      const names = left.map(({ name, cid, server }) => `${name} (${cid} at ${server})`).join(", ");
      throw new FleetError("FAILED", `still connected: ${names}`);
    }
    if (took_ms > CLOSES_ITSELF_MS && kicked === 0) {
      await Promise.all(left.map((one) => kick(system, one)));
      kicked = left.length;
    }
    await sleep(LOOK_MS);
  }
}
