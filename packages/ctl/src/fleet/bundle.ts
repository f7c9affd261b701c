/** The fleet's first trust bundle, and the next one where what it says has changed. Pure but for the signature. */
import { canonicalize } from "@muster/protocol/canonical";
import {
  type EnvelopeSigner,
  loadEnvelope,
  type StoredEnvelope,
  seal,
  storeEnvelope,
} from "@muster/protocol/envelope";
import { parse, parseJson } from "@muster/protocol/errors";
import { subjects } from "@muster/protocol/subjects";
import { openNextBundle, TrustBundle } from "@muster/protocol/trust";
import type { VaultMade } from "./vault-setup.ts";

export type BundleParts = {
  readonly fleet: string;
  readonly vault_made: VaultMade;
  readonly admin_key: string;
  readonly broker_ca: string;
  readonly brokers: readonly string[];
  readonly vault: { readonly addresses: readonly string[]; readonly ca_pem: string };
};

/** What the parts say as a bundle; `version` and time are the caller's. */
export function bundleOf(parts: BundleParts, version: number, issued_at: number): TrustBundle {
  return parse(
    TrustBundle,
    {
      v: 1,
      fleet: parts.fleet,
      version,
      issued_at,
      operators_ca: [parts.vault_made.ca.operators],
      admin_keys: [parts.admin_key],
      broker_ca: [parts.broker_ca],
      controllers_ca: [parts.vault_made.ca.controllers],
      services_ca: [parts.vault_made.ca.services],
      identity_ca: [parts.vault_made.ca.identity],
      vault_ca: splitPem(parts.vault.ca_pem),
      vault: [...parts.vault.addresses],
      brokers: [...parts.brokers],
      ssh_host_ca: [parts.vault_made.ssh.host],
      ssh_user_ca: [parts.vault_made.ssh.user],
      voided: [],
      ssh_krl: null,
      policy: {},
    },
    "trust bundle",
  );
}

/** Each certificate of a PEM file. */
export function splitPem(text: string): string[] {
  const found = text.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  return found.map((pem) => `${pem}\n`);
}

export const readBundle = (stored: StoredEnvelope) =>
  parseJson(TrustBundle, loadEnvelope(stored).body, "trust bundle");

/**
 * The one to go on from: ours, or what a broker holds when that is newer and signed under ours. Errors: as `openNextBundle`, for what an admin did
 * not sign.
 */
export function newerBundle(ours: StoredEnvelope, there: StoredEnvelope | null): StoredEnvelope {
  if (there === null) return ours;
  return openNextBundle(loadEnvelope(there), readBundle(ours)) === null ? ours : there;
}

/** Whether a bundle says what these parts say, whatever its number. Revocations and policy are others' to change. */
export function saysTheSame(held: TrustBundle, parts: BundleParts): boolean {
  const { succession: _how, ...said } = held;
  const wanted = bundleOf(parts, held.version, held.issued_at);
  return (
    canonicalize({ ...wanted, voided: held.voided, ssh_krl: held.ssh_krl, policy: held.policy }) ===
    canonicalize(said)
  );
}

export function signBundle(bundle: TrustBundle, signer: EnvelopeSigner, now_ms: number): StoredEnvelope {
  return storeEnvelope(seal(subjects.trust(), Buffer.from(JSON.stringify(bundle)), signer, now_ms));
}
