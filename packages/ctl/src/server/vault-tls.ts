/** The TLS certificates of a Vault's own servers: names they have to be for, and whether one that is there will do. */
import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { type Ca, type Issued, issue } from "@muster/ports/csr";

const DAY_MS = 86_400_000;
export const VAULT_TLS_LIFE_MS = 3650 * DAY_MS;
const RENEW_BEFORE_MS = 60 * DAY_MS;
/** What runs beside a server asks it here. */
const HERE = ["localhost", "127.0.0.1", "::1"];

export const namesOf = (hosts: readonly string[]): string[] => [...new Set([...hosts, ...HERE])];

/** For all of the names, and not about to end. */
export function stillFits(certificate_pem: string, names: readonly string[], now_ms: number): boolean {
  const certificate = new X509Certificate(certificate_pem);
  const fits = names.every((name) =>
    isIP(name) === 0 ? certificate.checkHost(name) : certificate.checkIP(name),
  );
  return fits && Date.parse(certificate.validTo) - now_ms > RENEW_BEFORE_MS;
}

export function issueFor(ca: Ca, names: readonly string[], not_after: number): Promise<Issued> {
  return issue(ca, {
    common_name: names[0] ?? "vault",
    dns_names: names.filter((name) => isIP(name) === 0),
    ip_addresses: names.filter((name) => isIP(name) !== 0),
    not_after,
  });
}
