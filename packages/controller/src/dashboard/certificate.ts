/**
 * The TLS of the page: as the operator gave it in files, or signed by the fleet's CA of services for the names in the page's addresses, by which people know it;
 * the key of the latter lives in memory only. Vault signs for a page the names that `ctl init` was given, and no addresses. Where it signs none, as in a fleet
 * whose `ctl init` was not run since, the page has the controller's own name, and browsers warn of that.
 */
import { isIP } from "node:net";
import { makeCsr, makeKey } from "@muster/ports/csr";
import { FleetError } from "@muster/protocol/errors";
import type { Issued, Issuer } from "../certificates/issuer.ts";
import { type ControllerConfig, readText } from "../config.ts";

export type PageTls = {
  readonly cert: string;
  readonly key: string;
  /** When another one should be had. */
  readonly renew_at: number;
};

type Dashboard = NonNullable<ControllerConfig["dashboard"]>;

/** Files are read again so often: whoever renews them tells nobody. */
const READ_AGAIN_MS = 3_600_000;

/** Vault's answers to names that it has no role for, or not in it. */
const UNSIGNED: ReadonlySet<string> = new Set(["VAULT_DENIED", "VAULT_NOT_FOUND", "VAULT_REFUSED"]);

/** `on_unnamed`: hears why the page's own names were not signed. Errors: CONFIG for files that cannot be read, VAULT_*. */
export async function pageTls(
  { certificate, addresses }: Pick<Dashboard, "certificate" | "addresses">,
  name: string,
  issuer: Issuer,
  now_ms: number,
  on_unnamed: (error: FleetError) => void,
): Promise<PageTls> {
  if (certificate !== undefined) {
    const [cert, key] = await Promise.all([readText(certificate.certificate), readText(certificate.key)]);
    return { cert, key, renew_at: now_ms + READ_AGAIN_MS };
  }
  const { private_pem } = makeKey("p256");
  const names = namesOf(addresses);
  const csr = await makeCsr(private_pem, { common_name: names[0] ?? name });
  const { text, not_after } = await signed();
  return { cert: text, key: private_pem, renew_at: now_ms + (not_after - now_ms) / 2 };

  async function signed(): Promise<Issued> {
    if (names.length === 0) return issuer.serviceCertificate(name, csr);
    try {
      return await issuer.pageCertificate(names, csr);
    } catch (error) {
      if (!(error instanceof FleetError) || !UNSIGNED.has(error.code)) throw error;
      on_unnamed(error);
      return issuer.serviceCertificate(name, csr);
    }
  }
}

/** The names among the page's addresses. */
export function namesOf(addresses: readonly string[]): string[] {
  const hosts = addresses.map((address) => new URL(address).hostname);
  return [...new Set(hosts.filter((host) => !host.startsWith("[") && isIP(host) === 0))];
}
