# Vault of a fleet on one machine: storage on disk (raft), TLS, both address families. `ctl init` or the lab fills in @NAME@
# (a host name or address that the other machines reach).
ui            = false
disable_mlock = true # raft's memory-mapped files and mlock do not go together; run it on a machine without unencrypted swap
api_addr      = "https://@NAME@:8200"
cluster_addr  = "https://@NAME@:8201"

storage "raft" {
  path    = "/var/lib/muster-vault"
  node_id = "hub"

  performance_multiplier = 1 # a single node has nobody to wait for
}

listener "tcp" {
  address         = "[::]:8200"
  cluster_address = "[::]:8201"
  tls_cert_file   = "/etc/muster/vault/tls.crt"
  tls_key_file    = "/etc/muster/vault/tls.key"
  tls_min_version = "tls13"
}
