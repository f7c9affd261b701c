/** The configuration of a fleet's own Vault, alone or one of several, as text. Pure. Source: developer.hashicorp.com/vault/docs/configuration. */
import { isIP } from "node:net";

/** Where an installed Vault has its configuration, and its store. */
export const VAULT_DIRECTORY = "/etc/muster/vault";
export const VAULT_STORE = "/var/lib/muster-vault";

/** One of several servers: its name, and how the others reach it. */
export type VaultServer = { readonly name: string; readonly host: string };

const bracketed = (host: string) => (isIP(host) === 6 ? `[${host}]` : host);
export const vaultUrl = (host: string) => `https://${bracketed(host)}:8200`;

/** Alone on one machine. @param host a name or address under which the other machines reach it */
export function vaultConfig(host: string): string {
  return text({
    title:
      "Vault of a fleet on one machine: storage on disk (raft), TLS, both address families. Written by ctl init; run it again instead of editing.",
    host,
    node_id: "hub",
    raft: `
  # A single node has nobody to wait for.
  performance_multiplier = 1`,
    cluster_address: `  # Only for a second node, which there is not.
  cluster_address = "[::1]:8201"`,
  });
}

/** One of several: each asks the others to be let in when it is empty, and any of them may lead. */
export function vaultNodeConfig(own: VaultServer, all: readonly VaultServer[]): string {
  const others = all.filter(({ name }) => name !== own.name);
  const joins = others.map(
    ({ host }) => `
  retry_join {
    leader_api_addr     = "${vaultUrl(host)}"
    leader_ca_cert_file = "${VAULT_DIRECTORY}/ca.crt"
  }`,
  );
  return text({
    title: `Vault ${own.name} of ${all.length}: storage on disk (raft), TLS, both address families. Written by ctl vault layout; run it again instead of editing.`,
    host: own.host,
    node_id: own.name,
    raft: `
  # A leader that is gone is missed after about a second.
  performance_multiplier = 1
${joins.join("")}`,
    cluster_address: '  cluster_address = "[::]:8201"',
  });
}

function text(parts: {
  title: string;
  host: string;
  node_id: string;
  raft: string;
  cluster_address: string;
}): string {
  const name = bracketed(parts.host);
  return `# ${parts.title}
ui            = false
# Raft's memory-mapped files and mlock do not go together: run it on a machine without unencrypted swap.
disable_mlock = true
api_addr      = "https://${name}:8200"
cluster_addr  = "https://${name}:8201"

storage "raft" {
  path    = "${VAULT_STORE}"
  node_id = "${parts.node_id}"
${parts.raft}
}

listener "tcp" {
  address         = "[::]:8200"
${parts.cluster_address}
  tls_cert_file   = "${VAULT_DIRECTORY}/tls.crt"
  tls_key_file    = "${VAULT_DIRECTORY}/tls.key"
  tls_min_version = "tls13"
}
`;
}
