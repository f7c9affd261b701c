/** The configuration of nats-server, as text. Pure. Paths are those of an installed broker. Source: docs.nats.io/running-a-nats-service/configuration. */

/** Where an installed broker has its configuration and its store. */
export const BROKER_DIRECTORY = "/etc/muster/nats";
export const BROKER_STORE = "/var/lib/muster-nats";

export type BrokerConfig = {
  readonly fleet: string;
  readonly port: number;
  /** Where browsers come, and from which pages (`https://host:port`). */
  readonly websocket: { readonly port: number; readonly origins: readonly string[] };
  readonly operator_jwt: string;
  readonly system_account: string;
  readonly sentinel_jwt: string;
  /** Public account nkey → JWT: what a broker begins with; newer ones are pushed. */
  readonly accounts: readonly { readonly name: string; readonly key: string; readonly jwt: string }[];
  readonly directory?: string;
  readonly store?: string;
};

export function brokerConfig(config: BrokerConfig): string {
  const { directory = BROKER_DIRECTORY, store = BROKER_STORE } = config;
  const preload = config.accounts.map(({ name, key, jwt }) => `  # ${name}\n  ${key}: "${jwt}"`);
  return `# The broker of ${config.fleet}. Written by ctl init; run it again instead of editing.
server_name: "${config.fleet}"
# Both address families.
listen: "[::]:${config.port}"

tls {
  # With the CA in the chain: whoever joins compares it with the anchor before anything is sent.
  cert_file: "${directory}/tls.crt"
  key_file: "${directory}/tls.key"
  min_version: "1.2"
  timeout: "5s"
  # Handshakes a second: after a restart everybody comes at once.
  connection_rate_limit: 500
}

# Web pages of viewers (ctl dashboard). A change here needs a restart.
websocket {
  listen: "[::]:${config.websocket.port}"
  tls {
    cert_file: "${directory}/tls.crt"
    key_file: "${directory}/tls.key"
    min_version: "1.2"
  }
  allowed_origins: ${JSON.stringify(config.websocket.origins)}
  handshake_timeout: "5s"
  compression: true
}

operator: "${config.operator_jwt}"
system_account: ${config.system_account}
resolver: { type: full, dir: "${store}/jwt", allow_delete: true, interval: "2m" }
resolver_preload: {
${preload.join("\n")}
}
# Who comes without credentials may ask to be enrolled, and nothing else.
default_sentinel: "${config.sentinel_jwt}"

jetstream {
  store_dir: "${store}"
  # What was acknowledged is on disk, also after a power cut.
  sync_interval: always
  # Streams reserve their sizes at once; this is more than all of them, and not what they use.
  max_file_store: 16GB
  max_memory_store: 64MB
}

max_payload: 1MB
max_connections: 16384
max_subscriptions: 1000000
max_control_line: 4096
write_deadline: "10s"
ping_interval: "30s"
ping_max: 3
logtime: true
`;
}
