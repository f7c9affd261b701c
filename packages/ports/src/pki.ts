/**
 * Certificates signed by a PKI mount of Vault. The key stays with whoever made the request.
 * API: developer.hashicorp.com/vault/api-docs/secret/pki.
 */
import { X509Certificate } from "node:crypto";
import { FleetError } from "@muster/protocol/errors";
import * as z from "zod";
import type { Vault } from "./vault.ts";

const Pem = z.string().startsWith("-----BEGIN CERTIFICATE-----");
const Signed = z.object({
  certificate: Pem,
  issuing_ca: Pem.optional(),
  ca_chain: z.array(Pem).nullish(),
  serial_number: z.string().regex(/^[0-9a-f:-]+$/i),
  expiration: z.int(),
});

/** What the role is asked for; names that the role does not allow are refused by Vault. */
export type SignOptions = {
  readonly common_name: string;
  /** Without it, as long as the role says. */
  readonly ttl_s?: number;
  readonly alt_names?: readonly string[];
  readonly ip_sans?: readonly string[];
  readonly uri_sans?: readonly string[];
};

/** `ca_chain`: PEM, issuer first. `serial`: hexadecimal pairs with `:`. `not_after`: milliseconds since 1970. */
export type SignedCertificate = {
  readonly certificate_pem: string;
  readonly ca_chain: readonly string[];
  readonly serial: string;
  readonly not_after: number;
};

export interface Pki {
  /** Signs a PKCS#10 request by `<mount>/sign/<role>`. */
  signCsr(mount: string, role: string, csr_pem: string, options: SignOptions): Promise<SignedCertificate>;
  /** The mount's issuing CA certificate, PEM. Needs no token. `VAULT_NOT_FOUND` before the mount has one. */
  caCertificate(mount: string): Promise<string>;
}

export function pki(vault: Vault): Pki {
  return {
    async signCsr(mount, role, csr_pem, options) {
      const body = {
        csr: csr_pem,
        common_name: options.common_name,
        ...(options.ttl_s === undefined ? {} : { ttl: `${options.ttl_s}s` }),
        format: "pem",
        ...(options.alt_names === undefined ? {} : { alt_names: joined(options.alt_names) }),
        ...(options.ip_sans === undefined ? {} : { ip_sans: joined(options.ip_sans) }),
        ...(options.uri_sans === undefined ? {} : { uri_sans: joined(options.uri_sans) }),
      };
      const signed = await vault.write([mount, "sign", role], body, Signed, { repeatable: true });
      const chain = signed.ca_chain ?? (signed.issuing_ca === undefined ? [] : [signed.issuing_ca]);
      return {
        certificate_pem: lined(signed.certificate),
        ca_chain: chain.map(lined),
        serial: signed.serial_number,
        not_after: signed.expiration * 1000,
      };
    },
    async caCertificate(mount) {
      const text = await vault.read([mount, "ca", "pem"], z.string().default(""));
      if (text.trim() === "") throw new FleetError("VAULT_NOT_FOUND", `${mount} has no CA certificate yet`);
      return lined(new X509Certificate(parsePem(text, mount)).toString());
    },
  };
}

/** Vault splits these fields at commas: a name with one would become two. */
function joined(names: readonly string[]): string {
  const odd = names.find((name) => /[,\s]/.test(name) || name === "");
  if (odd !== undefined)
    throw new FleetError("INVALID", `${JSON.stringify(odd.slice(0, 80))} cannot be a certificate's name`);
  return names.join(",");
}

function parsePem(text: string, mount: string): string {
  if (!text.startsWith("-----BEGIN CERTIFICATE-----"))
    throw new FleetError("INVALID", `${mount}/ca/pem is not a certificate`);
  return text;
}

function lined(pem: string): string {
  return `${pem.trim()}\n`;
}
