/**
 * The TLS of the page: as the operator gave it in files, or signed by the fleet's CA of services. The key of the latter lives in memory only, and its name is
 * the controller's below the fleet's: Vault gives a controller no other. A browser that reaches the page by another name says so.
 */
import { makeCsr, makeKey } from "@muster/ports/csr";
import type { Issuer } from "../certificates/issuer.ts";
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

/** Errors: CONFIG for files that cannot be read, VAULT_*. */
export async function pageTls(
  { certificate }: Pick<Dashboard, "certificate">,
  name: string,
  issuer: Issuer,
  now_ms: number,
): Promise<PageTls> {
  if (certificate !== undefined) {
    const [cert, key] = await Promise.all([readText(certificate.certificate), readText(certificate.key)]);
    return { cert, key, renew_at: now_ms + READ_AGAIN_MS };
  }
  const { private_pem } = makeKey("p256");
  const csr = await makeCsr(private_pem, { common_name: name });
  const { text, not_after } = await issuer.serviceCertificate(name, csr);
  return { cert: text, key: private_pem, renew_at: now_ms + (not_after - now_ms) / 2 };
}
