/**
 * The hosts' own log-in at Vault, as data: one cert log-in, one policy and three signing roles for all hosts. A host is told from another by an
 * **instance**: a random id that `ctl` chose when a person let the machine in. It is the common name in the host's identity certificate and the
 * name of its alias at `auth/cert`; the alias says, in metadata that only people write, which host that is. So a machine that takes over a name
 * gets another instance, and whoever has the old one is cut off by disabling its entity, whatever certificates it still holds.
 * Pure. API: developer.hashicorp.com/vault/docs/concepts/policies (templated policies), /api-docs/auth/{cert,token}, /secret/identity/entity-alias.
 */
import { HOST_VAULT } from "@muster/protocol/host-vault";
import { policyOf } from "../session/ranks.ts";
import { type Fields, type Known, NO_SSH_OPTIONS, PKI_BASE, type Written } from "./vault-roles.ts";

const DAY_S = 86_400;
/** A week, as a join string may live. */
const JOIN_LIMIT_S = 7 * DAY_S;
/** One renewal, or one fetching of secrets; a batch token cannot be renewed, and the next is one log-in away. */
const LOGIN_S = 600;

/** What the template of a role or policy says of whoever is logged in. */
const alias = (known: Known, mount: "cert" | "token", what: string) =>
  `{{identity.entity.aliases.${known.accessor(mount)}.${what}}}`;
const hostOf = (known: Known) => alias(known, "cert", "custom_metadata.host");
const namesOf = (known: Known, fleet: string) => [hostOf(known), `${hostOf(known)}.${fleet}`];

const rule = (path: string, ...capabilities: string[]) =>
  `path "${path}" {\n  capabilities = [${capabilities.map((one) => `"${one}"`).join(", ")}]\n}\n`;

const IDENTITY = {
  ...PKI_BASE,
  key_type: "ec",
  key_bits: 256,
  allowed_domains_template: true,
  allow_bare_domains: true,
  enforce_hostnames: false,
  server_flag: false,
  client_flag: true,
  key_usage: ["DigitalSignature"],
  ou: ["host"],
  ttl: 14 * DAY_S,
  max_ttl: 14 * DAY_S,
} as const;

const { identity, services, ssh, join_role, own_role } = HOST_VAULT;

/** Path at Vault → its fields, for a fleet. */
export const HOST_ROLES: Readonly<Record<string, (fleet: string) => Written<Fields>>> = {
  // A person's word for one machine: the token of a join string reaches it, once, for the instance that it was made for.
  [`${identity}/roles/${join_role}`]: () => (known) => ({
    ...IDENTITY,
    allowed_domains: [alias(known, "token", "name")],
  }),
  [`${identity}/roles/${own_role}`]: () => (known) => ({
    ...IDENTITY,
    allowed_domains: [alias(known, "cert", "name")],
  }),
  [`${services}/roles/${own_role}`]: (fleet) => (known) => ({
    ...PKI_BASE,
    key_type: "ec",
    key_bits: 256,
    allowed_domains: namesOf(known, fleet),
    allowed_domains_template: true,
    allow_bare_domains: true,
    enforce_hostnames: true,
    server_flag: true,
    client_flag: true,
    key_usage: ["DigitalSignature"],
    ttl: 30 * DAY_S,
    max_ttl: 30 * DAY_S,
  }),
  [`${ssh}/roles/${own_role}`]: (fleet) => (known) => ({
    key_type: "ca",
    allow_host_certificates: true,
    allow_user_certificates: false,
    allowed_domains: namesOf(known, fleet).join(","),
    allowed_domains_template: true,
    allow_bare_domains: true,
    allow_subdomains: false,
    allow_user_key_ids: false,
    ...NO_SSH_OPTIONS,
    ttl: 30 * DAY_S,
    max_ttl: 30 * DAY_S,
  }),
  [`auth/token/roles/${HOST_VAULT.join_token_role}`]: () => ({
    allowed_policies: [policyOf("join")],
    allowed_entity_aliases: ["*"],
    orphan: true,
    renewable: false,
    token_no_default_policy: true,
    token_num_uses: 1,
    token_explicit_max_ttl: JOIN_LIMIT_S,
    token_type: "service",
  }),
  [`auth/cert/certs/${HOST_VAULT.login_role}`]: () => (known) => ({
    certificate: known.ca(identity).trim(),
    allowed_organizational_units: ["host"],
    token_policies: [policyOf("host")],
    token_no_default_policy: true,
    token_type: "batch",
    token_ttl: LOGIN_S,
  }),
};

/** Policies of hosts and of the tokens in join strings. */
export const HOST_POLICIES: Readonly<Record<string, Written<string>>> = {
  [policyOf("host")]: (known) =>
    [identity, services, ssh].map((mount) => rule(`${mount}/sign/${own_role}`, "update")).join("") +
    rule(`kv/data/hosts/${hostOf(known)}/*`, "read"),
  [policyOf("join")]: rule(`${identity}/sign/${join_role}`, "update"),
};

/** What a person needs who may let hosts in: a wrapped token for one instance; and `sys/auth`, for the accessor of the log-in. */
export const JOIN_RULES = [
  `path "${HOST_VAULT.join_token_path}" {
  capabilities = ["create", "update"]
  required_parameters = ["entity_alias"]
  allowed_parameters = {
    "entity_alias" = []
    "ttl" = []
  }
  min_wrapping_ttl = "1s"
  max_wrapping_ttl = "${JOIN_LIMIT_S}s"
}
`,
  rule("sys/auth", "read"),
];

/** And to say which host that instance is. Never which entity: an alias on an admin's would be an admin. Admins make people, and may more. */
export const hostAliases = (known: Known) => `path "identity/entity-alias" {
  capabilities = ["create", "update"]
  allowed_parameters = {
    "name" = []
    "mount_accessor" = ["${known.accessor("cert")}"]
    "custom_metadata" = []
  }
}
`;

/** What an admin needs to cut hosts off. */
export const CUT_OFF_RULES = [
  rule("identity/entity-alias/id", "list"),
  `path "identity/entity/id/+" {
  capabilities = ["create", "update"]
  allowed_parameters = {
    "disabled" = []
  }
}
`,
];
