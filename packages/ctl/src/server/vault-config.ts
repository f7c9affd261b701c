/** The configuration of a fleet's own Vault, as text. Pure. Source: developer.hashicorp.com/vault/docs/configuration. */
import { isIP } from "node:net";

/** Where an installed Vault has its configuration, and its store. */
export const VAULT_DIRECTORY = "/etc/muster/vault";
export const VAULT_STORE = "/var/lib/muster-vault";

/** @param host a name or address under which the other machines reach it */
export function vaultConfig(host: string): string {
  const name = isIP(host) === 6 ? `[${host}]` : host;
  return `# Vault of a fleet on one machine: storage on disk (raft), TLS, both address families. Written by ctl init; run it again instead of editing.
ui            = false
# Raft's memory-mapped files and mlock do not go together: run it on a machine without unencrypted swap.
disable_mlock = true
api_addr      = "https://${name}:8200"
cluster_addr  = "https://${name}:8201"

storage "raft" {
  path    = "${VAULT_STORE}"
  node_id = "hub"

  # A single node has nobody to wait for.
  performance_multiplier = 1
}

listener "tcp" {
  address         = "[::]:8200"
  # Only for a second node, which there is not.
  cluster_address = "[::1]:8201"
  tls_cert_file   = "${VAULT_DIRECTORY}/tls.crt"
  tls_key_file    = "${VAULT_DIRECTORY}/tls.key"
  tls_min_version = "tls13"
}
`;
}
