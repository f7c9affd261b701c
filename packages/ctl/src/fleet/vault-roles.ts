/**
 * What a fleet's Vault holds: mounts, keys, and every role and log-in, as data in the form in which Vault gives it back (times in seconds), so that it can
 * be compared field by field. What people and programs may do is in vault-policies.ts. Pure. API: developer.hashicorp.com/vault/api-docs/secret/{pki,ssh,transit},
 * /auth/approle.
 */
import { AUTHORITY_S, policyOf } from "../session/ranks.ts";
import { FOREIGN_LOGINS } from "./vault-logins.ts";

const HOUR_S = 3_600;
const DAY_S = 24 * HOUR_S;
const YEAR_S = 365 * DAY_S;
/** The issuing CAs outlive what they sign by far: the kit's certificate lives ten years. */
export const CA_LIFE_S = 20 * YEAR_S;
export const KIT_LIFE_S = 10 * YEAR_S;
/** What a controller signs for a host; what hosts sign by their own log-in (vault-hosts.ts) lives longer. */
const ENROLMENT_S = 7 * DAY_S;

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
/** Log-in methods: path below `auth/` → type. */
export const AUTH_MOUNTS: Readonly<Record<string, string>> = {
  userpass: "userpass",
  approle: "approle",
  cert: "cert",
  ...FOREIGN_LOGINS,
};

/** Mounts with a CA of the fleet's own, and what it is called behind the fleet's name. */
export const PKI_CAS = {
  operators: "operators",
  controllers: "controllers",
  services: "services",
  "identity-ca": "identity",
} as const;
export type PkiMount = keyof typeof PKI_CAS;
export const SSH_CAS = ["ssh-host", "ssh-user"] as const;

/** Ed25519 keys that never leave Vault: what each signs. */
export const TRANSIT_KEYS = [
  "operator-signing",
  "sys-admin",
  "fleet-agent",
  "fleet-controller",
  "fleet-operator",
  "fleet-viewer",
  "fleet-guest",
  "fleet-page",
  "fleet-setup",
] as const;
export type TransitKey = (typeof TRANSIT_KEYS)[number];

export type Fields = Readonly<Record<string, unknown>>;

/** What only a Vault itself can tell: what is written may depend on it. */
export type Known = {
  /** A placeholder where no fleet is meant. */
  readonly fleet: string;
  /** Accessor of the log-in method at `auth/<path>`: templated policies name it. A placeholder where it is not known. */
  accessor(path: string): string;
  /** Certificate of a mount's CA, PEM. A placeholder where there is none yet. */
  ca(mount: PkiMount): string;
  /** From where controllers log in; undefined = as it is there. */
  readonly networks: readonly string[] | undefined;
  /** The names by which people open the web page; undefined = as it is there. */
  readonly page_names?: readonly string[] | undefined;
};
/** What a person says of it. */
export type Wished = Pick<Known, "networks" | "page_names">;
/** Where no Vault is asked. */
export const NOTHING_KNOWN: Known = {
  fleet: "<fleet>",
  accessor: (path) => `<accessor of auth/${path}>`,
  ca: (mount) => `<CA of ${mount}>`,
  networks: undefined,
};

/** Something that Vault holds, or how it follows from what is known of that Vault. */
export type Written<T> = T | ((known: Known) => T);

/** What is written, for one Vault. */
export const forVault = <T extends string | Fields>(written: Written<T>, known: Known): T =>
  typeof written === "function" ? written(known) : written;

/** What every PKI role here has: the names come from the request's parameters and never from the CSR; nothing is stored. */
export const PKI_BASE = {
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
export const PERSON = {
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

const PKI_ROLES: Readonly<Record<string, Fields>> = {
  "operators/roles/viewer": { ...PERSON, ou: ["viewer"] },
  "operators/roles/operator": { ...PERSON, ou: ["operator"] },
  "operators/roles/admin": { ...PERSON, ou: ["admin"] },
  "operators/roles/ci": { ...PERSON, ou: ["ci"] },
  // No policy names this role: only the token that makes the fleet reaches it.
  "operators/roles/kit": {
    ...PERSON,
    allowed_domains: ["kit"],
    allowed_domains_template: false,
    ou: ["kit"],
    max_ttl: KIT_LIFE_S,
  },
  "controllers/roles/controller": {
    ...PERSON,
    allowed_domains: ["controller", "controller-*"],
    allowed_domains_template: false,
    allow_glob_domains: true,
    ou: ["controller"],
    max_ttl: DAY_S,
  },
  // What a controller may sign where it admits a host, and for hosts that have no log-in at Vault. Host names are short (`ixp1`), which no list of
  // domains can say; they are checked where hosts are admitted, and the CA is for nothing else.
  "services/roles/host": {
    ...PKI_BASE,
    key_type: "ec",
    key_bits: 256,
    allow_any_name: true,
    enforce_hostnames: true,
    server_flag: true,
    client_flag: true,
    key_usage: ["DigitalSignature"],
    max_ttl: ENROLMENT_S,
  },
};

/** None: an empty list of critical options is all of them to Vault, so the one that may be asked for is none that ssh knows. */
export const NO_SSH_OPTIONS = { allowed_critical_options: "none", allowed_extensions: "" } as const;

const SSH_ROLES: Readonly<Record<string, Fields>> = {
  "ssh-host/roles/host": {
    key_type: "ca",
    allow_host_certificates: true,
    allow_user_certificates: false,
    allowed_domains: "*",
    allow_bare_domains: true,
    allow_subdomains: false,
    allow_user_key_ids: false,
    ...NO_SSH_OPTIONS,
    max_ttl: ENROLMENT_S,
  },
};

/** Log-ins of programs: the controllers', and the backup's on the first server. */
export const APPROLES = { controller: "muster-controller", backup: "muster-backup" } as const;
export type Program = keyof typeof APPROLES;

/** The backup runs beside Vault. */
export const LOOPBACK = ["127.0.0.1/32", "::1/128"];

/** A program's AppRole. `networks`: from where its secret and its tokens work. */
function approle(program: Program, networks: readonly string[] | undefined): Fields {
  return {
    token_policies: [policyOf(program)],
    token_no_default_policy: true,
    token_ttl: HOUR_S,
    token_max_ttl: DAY_S,
    bind_secret_id: true,
    ...(networks === undefined
      ? {}
      : {
          // Vault writes a single address so in this field, and as it was given in the next.
          token_bound_cidrs: networks.map((network) =>
            network.replace(/^([\d.]+)\/32$|^([\da-fA-F:]+)\/128$/, "$1$2"),
          ),
          secret_id_bound_cidrs: networks,
        }),
  };
}

/** Every role and every program's log-in: its path at Vault → its fields. */
export const ROLES: Readonly<Record<string, Written<Fields>>> = {
  ...PKI_ROLES,
  ...SSH_ROLES,
  // The names that `ctl init` was given and no others: a server of the fleet's that people open in a browser.
  "services/roles/page": ({ page_names }) => ({
    ...PKI_BASE,
    key_type: "ec",
    key_bits: 256,
    allow_bare_domains: true,
    allow_any_name: false,
    enforce_hostnames: true,
    server_flag: true,
    client_flag: false,
    key_usage: ["DigitalSignature"],
    max_ttl: ENROLMENT_S,
    ...(page_names === undefined ? {} : { allowed_domains: page_names }),
  }),
  [`auth/approle/role/${APPROLES.controller}`]: ({ networks }) => approle("controller", networks),
  [`auth/approle/role/${APPROLES.backup}`]: approle("backup", LOOPBACK),
};
