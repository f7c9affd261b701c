/**
 * The log-in: Vault says who the person is and signs the key made here (the authority); a controller, or Vault itself for an admin, gives
 * access to the bus for another key. Nothing that Vault or the controller holds could act as this person.
 */
import { createPrivateKey } from "node:crypto";
import { makeCsr, makeKey } from "@muster/ports/csr";
import { pki } from "@muster/ports/pki";
import { transit } from "@muster/ports/transit";
import { openVault, type Vault } from "@muster/ports/vault";
import type { EnvelopeSigner } from "@muster/protocol/envelope";
import { FleetError } from "@muster/protocol/errors";
import type { Invitation } from "@muster/protocol/invite";
import { userJwt } from "@muster/protocol/jwt";
import { createNkey, encodePublic, nkeyFromSeed } from "@muster/protocol/nkey";
import type { TrustBundle } from "@muster/protocol/trust";
import { z } from "zod";
import { JOB_S } from "../fleet/vault-logins.ts";
import type { Profile } from "./profile.ts";
import { AUTHORITY_S, PERSON_RANKS, type PersonRank, policyOf } from "./ranks.ts";
import { derOf, type StoredSession } from "./stored.ts";
import { connectUnknown, fetchFirstBundle, requestAccess } from "./welcome.ts";

/** Where Vault keeps what an admin needs without a controller: the accounts' public keys. */
export const FLEET_RECORD = "kv/data/muster/fleet";
export const FleetRecord = z.object({
  data: z.object({
    fleet: z.string(),
    accounts: z.object({ operator: z.string(), system: z.string(), fleet: z.string(), enrol: z.string() }),
  }),
});

/** A port to the Vault of a fleet. Errors: CONFIG when the fleet names none. */
export function vaultOf(profile: Pick<Profile, "bundle" | "fleet">, signal: AbortSignal): Vault {
  if (profile.bundle.vault.length === 0)
    throw new FleetError("CONFIG", `the trust bundle of ${profile.fleet} names no Vault`);
  return openVault({ addresses: profile.bundle.vault, ca_pem: profile.bundle.vault_ca.join("") }, signal);
}

/** The person's rank by Vault's policies: the highest. */
async function rankOf(vault: Vault, person: string): Promise<PersonRank> {
  const token = await vault.lookupSelf();
  const held = new Set([...token.policies, ...(token.identity_policies ?? [])]);
  const rank = [...PERSON_RANKS].reverse().find((rank) => held.has(policyOf(rank)));
  if (rank === undefined) {
    throw new FleetError(
      "NOT_ALLOWED",
      `Vault knows ${person}, but as nobody of this fleet; an admin can change it: ctl operator add ${person} --rank operator`,
    );
  }
  return rank;
}

/** How somebody shows Vault who they are: gives the log-in at the Vault that is passed. */
export type Way = (vault: Vault) => Promise<Vault>;

export const byPassword =
  (person: string, password: string): Way =>
  (vault) =>
    vault.loginUserpass(person, password);

/**
 * Logs in and gives what is to be kept. `rank` asks for less than the person has.
 * Errors: VAULT_DENIED for a wrong password, VAULT_SEALED, VAULT_UNREACHABLE, NO_RESPONDER for a person below admin without a controller.
 */
export async function logIn(
  profile: Profile,
  who: { person: string; way: Way; rank?: PersonRank },
  now: () => number,
  signal: AbortSignal,
): Promise<StoredSession> {
  const { person } = who;
  const vault = await vaultLogin(profile, who.way, signal);
  const highest = await rankOf(vault, person);
  const rank = who.rank ?? highest;
  const life = rank === "ci" ? { ttl_s: JOB_S } : {};
  const authority = await authorityOf(profile, vault, { person, rank, ...life }, now, signal);
  return { v: 1, ...authority, vault_token: vault.revealToken() ?? null, invited: false };
}

/** Uses an invitation up: a key made here, and its certificate. Bus access comes by `renewAccess`. Errors: JOIN_USED, VAULT_*. */
export async function acceptInvitation(
  profile: Profile,
  invitation: Invitation,
  token: string,
  now: () => number,
  signal: AbortSignal,
): Promise<StoredSession> {
  const { takeInvitation } = await import("../fleet/guests.ts");
  const paper = await takeInvitation(vaultOf(profile, signal), invitation, token, now());
  return {
    v: 1,
    person: invitation.name,
    rank: "viewer",
    certificate_pem: paper.certificate_pem,
    certificate_ends: invitation.ends,
    key_pem: paper.key_pem,
    seed: createNkey("user").seed,
    user_jwt: "",
    jwt_ends: 0,
    vault_token: null,
    invited: true,
  };
}

/** Bus access anew for a certificate that lasts longer than it. Errors: NO_RESPONDER without a controller, VOIDED. */
export async function renewAccess(
  profile: Profile,
  stored: StoredSession,
  now: () => number,
  signal: AbortSignal,
): Promise<StoredSession> {
  const signer = { certificate: derOf(stored.certificate_pem), key: createPrivateKey(stored.key_pem) };
  const bus = await connectUnknown(profile.brokers, profile.broker_ca, signal);
  try {
    const { user_jwt, expires } = await requestAccess(bus, nkeyFromSeed(stored.seed).public, signer, now());
    return { ...stored, user_jwt, jwt_ends: expires };
  } finally {
    await bus.close();
  }
}

/** Vault may have moved since this machine heard of it, or have another certificate: the fleet's newest bundle says so, under the same anchor. */
async function vaultLogin(profile: Profile, way: Way, signal: AbortSignal): Promise<Vault> {
  try {
    return await way(vaultOf(profile, signal));
  } catch (error) {
    if (!(error instanceof FleetError) || error.code !== "VAULT_UNREACHABLE") throw error;
    const newer = await newerBundle(profile, signal);
    if (newer === null) throw error;
    return await way(vaultOf({ ...profile, bundle: newer }, signal));
  }
}

/** What a controller hands to strangers, when it is newer than what is held; null also when nobody answers. */
async function newerBundle(profile: Profile, signal: AbortSignal): Promise<TrustBundle | null> {
  try {
    const bus = await connectUnknown(profile.brokers, profile.broker_ca, signal);
    try {
      const bundle = await fetchFirstBundle(bus, profile.anchor, profile.broker_ca);
      return bundle.fleet === profile.fleet && bundle.version > profile.bundle.version ? bundle : null;
    } finally {
      await bus.close();
    }
  } catch (error) {
    // The person hears why Vault was not reached.
    if (error instanceof FleetError && error.code !== "CANCELLED") return null;
    throw error;
  }
}

/**
 * A certificate of a rank that the person has, for a key made here, and bus access that ends with it.
 * Errors: VAULT_DENIED for a rank above the person's, and as `logIn`.
 */
export async function authorityOf(
  profile: Profile,
  vault: Vault,
  who: { person: string; rank: PersonRank; ttl_s?: number },
  now: () => number,
  signal: AbortSignal,
): Promise<Omit<StoredSession, "v" | "vault_token" | "invited">> {
  const { person, rank, ttl_s = AUTHORITY_S } = who;
  const { private_pem } = makeKey("ed25519");
  const csr = await makeCsr(private_pem, { common_name: person });
  const signed = await pki(vault).signCsr("operators", rank, csr, { common_name: person, ttl_s });
  const key = createNkey("user");
  const signer: EnvelopeSigner = {
    certificate: derOf(signed.certificate_pem),
    key: createPrivateKey(private_pem),
  };
  const own = { id: key.public, person, rank, ends_ms: signed.not_after };
  const access = await busAccess(profile, vault, own, signer, now, signal);
  return {
    person,
    rank,
    certificate_pem: signed.certificate_pem,
    certificate_ends: signed.not_after,
    key_pem: private_pem,
    seed: key.seed,
    user_jwt: access.user_jwt,
    jwt_ends: access.expires,
  };
}

async function busAccess(
  profile: Profile,
  vault: Vault,
  who: { id: string; person: string; rank: PersonRank; ends_ms: number },
  signer: EnvelopeSigner,
  now: () => number,
  signal: AbortSignal,
): Promise<{ user_jwt: string; expires: number }> {
  try {
    const bus = await connectUnknown(profile.brokers, profile.broker_ca, signal);
    try {
      return await requestAccess(bus, who.id, signer, now());
    } finally {
      await bus.close();
    }
  } catch (error) {
    const nobody =
      error instanceof FleetError &&
      ["NO_RESPONDER", "TIMEOUT", "BUS_UNREACHABLE", "NOT_LOGGED_IN"].includes(error.code);
    if (!nobody || who.rank !== "admin") throw error;
  }
  return mintByTransit(
    vault,
    "fleet-operator",
    { name: who.person, id: who.id, ends_ms: who.ends_ms },
    now(),
  );
}

/** A bus JWT signed by Vault Transit under an admin's own log-in. `role_key` is the Transit key of one scope of FLEET. */
export async function mintByTransit(
  vault: Vault,
  role_key: string,
  who: { name: string; id: string; ends_ms: number },
  now_ms: number,
  account?: string,
): Promise<{ user_jwt: string; expires: number }> {
  const keys = transit(vault);
  const issuer = encodePublic("account", await keys.publicKey(role_key));
  const into = account ?? (await vault.read(FLEET_RECORD, FleetRecord)).data.accounts.fleet;
  const user_jwt = await userJwt(
    { name: who.name, key: who.id, account: into, expires_ms: who.ends_ms },
    { issuer, sign: (data) => keys.signEd25519(role_key, data) },
    now_ms,
  );
  return { user_jwt, expires: who.ends_ms };
}
