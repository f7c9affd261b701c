# Vault a of 3: storage on disk (raft), TLS, both address families. Written by ctl vault layout; run it again instead of editing.
ui            = false
# Raft's memory-mapped files and mlock do not go together: run it on a machine without unencrypted swap.
disable_mlock = true
api_addr      = "https://a.example:8200"
cluster_addr  = "https://a.example:8201"

storage "raft" {
  path    = "/var/lib/muster-vault"
  node_id = "a"

  # A leader that is gone is missed after about a second.
  performance_multiplier = 1

  retry_join {
    leader_api_addr     = "https://b.example:8200"
    leader_ca_cert_file = "/etc/muster/vault/ca.crt"
  }
  retry_join {
    leader_api_addr     = "https://c.example:8200"
    leader_ca_cert_file = "/etc/muster/vault/ca.crt"
  }
}

listener "tcp" {
  address         = "[::]:8200"
  cluster_address = "[::]:8201"
  tls_cert_file   = "/etc/muster/vault/tls.crt"
  tls_key_file    = "/etc/muster/vault/tls.key"
  tls_min_version = "tls13"
}
