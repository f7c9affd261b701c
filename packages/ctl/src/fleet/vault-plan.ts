/**
 * What a fleet's Vault holds: mounts, keys, PKI and SSH roles, policies, as data in the form in which Vault gives it back (times in seconds), so that a
 * second run can compare. Pure. API: developer.hashicorp.com/vault/api-docs/secret/{pki,ssh,transit}, /auth/approle.
 */
import { AUTHORITY_S, policyOf } from "../session/ranks.ts";

const HOUR_S = 3_600;
const DAY_S = 24 * HOUR_S;
const YEAR_S = 365 * DAY_S;
/** The issuing CAs outlive what they sign by far: the kit's certificate lives ten years. */
export const CA_LIFE_S = 20 * YEAR_S;
export const KIT_LIFE_S = 10 * YEAR_S;

export type Mount = {
  readonly path: string;
  readonly type: string;
  readonly max_ttl_s?: number;
  readonly version?: "2";
};

export const MOUNTS: readonly Mount[] = [
  { path: "transit", type: "transit" },
  { path: "operators", type: "pki", max_ttl_s: CA_LIFE_S },
  { path: "controllers", type: "pki", max_ttl_s: CA_LIFE_S },
  { path: "services", type: "pki", max_ttl_s: CA_LIFE_S },
  { path: "identity-ca", type: "pki", max_ttl_s: CA_LIFE_S },
  { path: "ssh-host", type: "ssh" },
  { path: "ssh-user", type: "ssh" },
  { path: "kv", type: "kv", version: "2" },
];
export const AUTH_MOUNTS = ["userpass", "approle"] as const;

/** Ed25519 keys that never leave Vault: what each signs. */
export const TRANSIT_KEYS = [
  "operator-signing",
  "sys-admin",
  "fleet-agent",
  "fleet-controller",
  "fleet-operator",
  "fleet-viewer",
  "fleet-setup",
] as const;
export type TransitKey = (typeof TRANSIT_KEYS)[number];

type Fields = Readonly<Record<string, unknown>>;

/** What every PKI role here has: the names come from the request's parameters and never from the CSR; nothing is stored. */
const PKI_BASE = {
  no_store: true,
  generate_lease: false,
  use_csr_sans: false,
  use_csr_common_name: false,
  allow_localhost: false,
  allow_ip_sans: false,
  allow_subdomains: false,
  allow_wildcard_certificates: false,
  not_before_duration: 120,
} as const;
const PERSON = {
  ...PKI_BASE,
  key_type: "ed25519",
  allowed_domains: ["{{identity.entity.name}}"],
  allowed_domains_template: true,
  allow_bare_domains: true,
  allow_any_name: false,
  enforce_hostnames: false,
  server_flag: false,
  client_flag: false,
  key_usage: ["DigitalSignature"],
  max_ttl: AUTHORITY_S,
} as const;

/** `<mount>/roles/<role>` → its fields. */
export const PKI_ROLES: Readonly<Record<string, Fields>> = {
  "operators/viewer": { ...PERSON, ou: ["viewer"] },
  "operators/operator": { ...PERSON, ou: ["operator"] },
  "operators/admin": { ...PERSON, ou: ["admin"] },
  "operators/ci": { ...PERSON, ou: ["ci"] },
  // No policy names this role: only the token that makes the fleet reaches it.
  "operators/kit": {
    ...PERSON,
    allowed_domains: ["kit"],
    allowed_domains_template: false,
    ou: ["kit"],
    max_ttl: KIT_LIFE_S,
  },
  "controllers/controller": {
    ...PERSON,
    allowed_domains: ["controller", "controller-*"],
    allowed_domains_template: false,
    allow_glob_domains: true,
    ou: ["controller"],
    max_ttl: DAY_S,
  },
  // Host names are short (`ixp1`), which no list of domains can say; they are checked where hosts are admitted, and the CA is for nothing else.
  "services/host": {
    ...PKI_BASE,
    key_type: "ec",
    key_bits: 256,
    allow_any_name: true,
    enforce_hostnames: true,
    server_flag: true,
    client_flag: true,
    key_usage: ["DigitalSignature"],
    max_ttl: 30 * DAY_S,
  },
};

/** `<mount>/roles/<role>` → its fields. */
export const SSH_ROLES: Readonly<Record<string, Fields>> = {
  "ssh-host/host": {
    key_type: "ca",
    allow_host_certificates: true,
    allow_user_certificates: false,
    allowed_domains: "*",
    allow_bare_domains: true,
    allow_subdomains: false,
    allow_user_key_ids: false,
    max_ttl: 30 * DAY_S,
  },
};

const rule = (path: string, ...capabilities: string[]) =>
  `path "${path}" {\n  capabilities = [${capabilities.map((one) => `"${one}"`).join(", ")}]\n}\n`;
const signs = (keys: readonly TransitKey[]) =>
  keys.map((key) => rule(`transit/sign/${key}`, "update") + rule(`transit/keys/${key}`, "read")).join("");
const issues = (...ranks: string[]) => ranks.map((rank) => rule(`operators/sign/${rank}`, "update")).join("");
/** Instead of Vault's `default` policy, which a firm may have changed. */
const OWN_TOKEN =
  rule("auth/token/lookup-self", "read") +
  rule("auth/token/renew-self", "update") +
  rule("auth/token/revoke-self", "update");

/** An admin may give the fleet's own policies and no others. */
const PEOPLE = `path "auth/userpass/users/*" {
  capabilities = ["create", "update", "read"]
  allowed_parameters = {
    "password" = []
    "token_ttl" = []
    "token_max_ttl" = []
    "token_no_default_policy" = []
  }
}
path "identity/entity/name/*" {
  capabilities = ["create", "update", "read"]
  allowed_parameters = {
    "policies" = [${["viewer", "operator", "admin", "ci"].map((rank) => `"muster-${rank}"`).join(", ")}]
    "disabled" = []
  }
}
${rule("identity/entity/name", "list")}${rule("identity/entity-alias", "create", "update")}${rule("sys/auth", "read")}`;

/** Policy name → text. Least privilege: each line is one thing that the rank does. */
export const POLICIES: Readonly<Record<string, string>> = {
  [policyOf("controller")]:
    OWN_TOKEN +
    signs(["fleet-agent", "fleet-controller", "fleet-operator", "fleet-viewer"]) +
    rule("services/sign/host", "update") +
    rule("ssh-host/sign/host", "update") +
    rule("controllers/sign/controller", "update"),
  // What it reads of Vault is sealed; the key is in the recovery kit. Streams are copied with the rights of `ctl init`.
  [policyOf("backup")]:
    OWN_TOKEN +
    signs(["fleet-setup"]) +
    rule("sys/storage/raft/snapshot", "read") +
    rule("kv/data/muster/fleet", "read"),
  [policyOf("viewer")]: OWN_TOKEN + issues("viewer"),
  [policyOf("ci")]: OWN_TOKEN + issues("ci"),
  [policyOf("operator")]: OWN_TOKEN + issues("operator", "viewer"),
  [policyOf("admin")]:
    OWN_TOKEN +
    issues("admin", "operator", "viewer") +
    signs(["operator-signing", "sys-admin", "fleet-operator", "fleet-viewer", "fleet-setup"]) +
    rule("kv/data/muster/fleet", "read") +
    PEOPLE,
};

/** Log-ins of programs: the controllers', and the backup's on the first server. */
export const APPROLES = { controller: "muster-controller", backup: "muster-backup" } as const;
export type Program = keyof typeof APPROLES;

/** A program's AppRole. `networks`: from where its secret and its tokens work; empty = anywhere. */
export function approleFields(program: Program, networks: readonly string[]): Fields {
  return {
    token_policies: [policyOf(program)],
    token_no_default_policy: true,
    token_ttl: HOUR_S,
    token_max_ttl: DAY_S,
    // Vault writes a single address so in this field, and as it was given in the next.
    token_bound_cidrs: networks.map((network) =>
      network.replace(/^([\d.]+)\/32$|^([\da-fA-F:]+)\/128$/, "$1$2"),
    ),
    secret_id_bound_cidrs: networks,
    bind_secret_id: true,
  };
}
