/** The keys that a fleet begins with, made here once and kept in the recovery kit only. */
import { createPrivateKey } from "node:crypto";
import { isIP } from "node:net";
import { issue, makeCa, makeCsr, makeKey } from "@muster/ports/csr";
import { pki } from "@muster/ports/pki";
import type { Vault } from "@muster/ports/vault";
import type { EnvelopeSigner } from "@muster/protocol/envelope";
import { createNkey, nkeyFromSeed, rawPublic } from "@muster/protocol/nkey";
import { createCurvePair } from "@muster/protocol/sealed";
import { anchoredKeysHash } from "@muster/protocol/trust";
import type { AccountKeys } from "./accounts.ts";
import type { Kit } from "./kit.ts";
import { hostOf } from "./networks.ts";
import { KIT_LIFE_S } from "./vault-roles.ts";

const YEAR_MS = 365 * 86_400_000;
const BROKER_CA_LIFE_MS = 20 * YEAR_MS;
export const BROKER_CERTIFICATE_LIFE_MS = YEAR_MS;

/** All of the kit but the profile, which follows from it, and the keys of Vault. */
export type Identities = Omit<Kit, "profile" | "vault_keys">;

/** Makes all keys. The broker's CA commits to the operators' CA and the admin key, so the former has to be there. */
export async function makeIdentities(
  fleet: string,
  vault: Vault,
  operators_ca: string,
  now_ms: number,
): Promise<Identities> {
  const admin_key = makeKey("ed25519").private_pem;
  const unit = anchoredKeysHash({ operators_ca: [operators_ca], admin_keys: [adminKeyOf(admin_key)] });
  const authority_key = makeKey("ed25519").private_pem;
  const csr = await makeCsr(authority_key, { common_name: "kit" });
  const authority = await pki(vault).signCsr("operators", "kit", csr, {
    common_name: "kit",
    ttl_s: KIT_LIFE_S - 60,
  });
  const { certificate_pem, private_pem } = await makeCa({
    common_name: `${fleet} brokers`,
    unit,
    not_after: now_ms + BROKER_CA_LIFE_MS,
  });
  return {
    v: 1,
    fleet,
    made_at: now_ms,
    seeds: {
      operator: createNkey("operator").seed,
      system: createNkey("account").seed,
      fleet: createNkey("account").seed,
      enrol: createNkey("account").seed,
      access: createNkey("account").seed,
    },
    broker_ca: { certificate_pem, private_pem },
    admin_key,
    backup: createCurvePair(),
    authority: { certificate_pem: authority.certificate_pem, private_pem: authority_key },
  };
}

/** The raw public admin key, base64, as bundles and anchors hold it. */
export function adminKeyOf(admin_key_pem: string): string {
  return rawPublic(createPrivateKey(admin_key_pem)).toString("base64");
}

export function adminSigner(identities: Identities): EnvelopeSigner {
  return { admin_key: adminKeyOf(identities.admin_key), key: createPrivateKey(identities.admin_key) };
}

export function accountKeysOf({ seeds }: Identities): AccountKeys {
  const publicOf = (seed: string) => nkeyFromSeed(seed).public;
  return {
    operator: publicOf(seeds.operator),
    system: publicOf(seeds.system),
    fleet: publicOf(seeds.fleet),
    enrol: publicOf(seeds.enrol),
    access: publicOf(seeds.access),
  };
}

/** The broker's TLS certificate for all addresses under which it is reached, and its key. `chain_pem` ends with the CA: that is what the anchor is held against. */
export async function brokerCertificate(
  identities: Identities,
  addresses: readonly string[],
  now_ms: number,
): Promise<{ chain_pem: string; key_pem: string; not_after: number }> {
  const hosts = addresses.map(hostOf);
  const { certificate_pem, private_pem, not_after } = await issue(identities.broker_ca, {
    common_name: `${identities.fleet} broker`,
    dns_names: hosts.filter((host) => isIP(host) === 0),
    ip_addresses: hosts.filter((host) => isIP(host) !== 0),
    not_after: now_ms + BROKER_CERTIFICATE_LIFE_MS,
    also_client: true,
  });
  return {
    chain_pem: certificate_pem + identities.broker_ca.certificate_pem,
    key_pem: private_pem,
    not_after,
  };
}
