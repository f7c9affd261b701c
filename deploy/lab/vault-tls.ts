/**
 * The lab's Vault gets its TLS from a CA of its own, and the configuration that `ctl init` writes: `node --import tsx deploy/lab/vault-tls.ts NAME…`
 * prints `{ ca, certificate, key, config }` (PEM and HCL) as JSON. The CA's key is thrown away: nothing else is ever signed with it.
 */
import { makeCa } from "@muster/ports/csr";
import { vaultConfig } from "../../packages/ctl/src/server/vault-config.ts";
import { issueFor, VAULT_TLS_LIFE_MS } from "../../packages/ctl/src/server/vault-tls.ts";

const names = process.argv.slice(2);
const not_after = Date.now() + VAULT_TLS_LIFE_MS;
const ca = await makeCa({ common_name: "Vault of the lab", not_after });
const issued = await issueFor(ca, names, not_after);
process.stdout.write(
  JSON.stringify({
    ca: ca.certificate_pem,
    certificate: issued.certificate_pem,
    key: issued.private_pem,
    config: vaultConfig(names[0] ?? "localhost"),
  }),
);
