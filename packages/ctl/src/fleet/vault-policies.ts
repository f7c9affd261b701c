/**
 * Who may do what at a fleet's Vault: one policy a rank and a program, each line one thing that it does. Pure. They are written in Vault's own language
 * (developer.hashicorp.com/vault/docs/concepts/policies), since that is what its owner reads before agreeing.
 */
import { policyOf } from "../session/ranks.ts";
import { GUEST_POLICIES, GUEST_ROLES, INVITE_RULES } from "./vault-guests.ts";
import { CUT_OFF_RULES, HOST_POLICIES, HOST_ROLES, hostAliases, JOIN_RULES } from "./vault-hosts.ts";
import { FOREIGN_RULES } from "./vault-logins.ts";
import {
  APPROLES,
  AUTH_MOUNTS,
  forVault,
  type Known,
  MOUNTS,
  NOTHING_KNOWN,
  PKI_CAS,
  ROLES,
  SSH_CAS,
  TRANSIT_KEYS,
  type TransitKey,
  type Written,
} from "./vault-roles.ts";

const rule = (path: string, ...capabilities: string[]) =>
  `path "${path}" {\n  capabilities = [${capabilities.map((one) => `"${one}"`).join(", ")}]\n}\n`;
/** Rules as one text, each once. */
const policy = (...rules: (string | readonly string[])[]) => [...new Set(rules.flat())].join("");
const signs = (...keys: TransitKey[]) =>
  keys.flatMap((key) => [rule(`transit/sign/${key}`, "update"), rule(`transit/keys/${key}`, "read")]);
const issues = (...ranks: string[]) => ranks.map((rank) => rule(`operators/sign/${rank}`, "update"));
/** A way to have something signed by these parameters alone: name → forms, each a text with `*` at its ends; none = any. What `never` has is refused. */
const signing = (
  path: string,
  parameters: Readonly<Record<string, readonly string[]>>,
  never: Readonly<Record<string, readonly string[]>> = {},
) => {
  const block = (name: string, list: typeof parameters) =>
    Object.keys(list).length === 0
      ? ""
      : `  ${name} = {\n${Object.entries(list)
          .map(([key, forms]) => `    "${key}" = [${forms.map((form) => `"${form}"`).join(", ")}]\n`)
          .join("")}  }\n`;
  const blocks = `${block("allowed_parameters", parameters)}${block("denied_parameters", never)}`;
  return `path "${path}" {\n  capabilities = ["update"]\n${blocks}}\n`;
};
const holding = (...parts: string[]) => parts.map((part) => `*${part}*`);
/** In no name of a host. Capitals, since `LocalHost` is `localhost` to who looks it up, and these lists know one form only. */
const ODD = holding("@", "*", "?", ..."ABCDEFGHIJKLMNOPQRSTUVWXYZ");
const CSR = { csr: [], ttl: [], format: [] };
/**
 * What a controller has signed for a host: its short name, and the one below the fleet's. Roles at Vault cannot say "a name without a dot", and who admits
 * hosts checks the name; this keeps a stolen controller from names that are nobody's in this fleet.
 */
const signsHosts = (fleet: string) => [
  signing(
    "services/sign/host",
    { ...CSR, common_name: [], alt_names: [`*.${fleet}`] },
    { common_name: ["localhost", ...holding("."), ...ODD], alt_names: [...holding(","), ...ODD] },
  ),
  signing(
    "ssh-host/sign/host",
    { public_key: [], ttl: [], cert_type: ["host"], valid_principals: [`*.${fleet}`] },
    { valid_principals: ["localhost,*", ...holding(",localhost,"), ...ODD] },
  ),
];
/** Instead of Vault's `default` policy, which a firm may have changed. */
const OWN_TOKEN = [
  rule("auth/token/lookup-self", "read"),
  rule("auth/token/renew-self", "update"),
  rule("auth/token/revoke-self", "update"),
];

/** An admin may give the fleet's own policies and no others. */
const PEOPLE = [
  `path "auth/userpass/users/+" {
  capabilities = ["create", "update", "read", "delete"]
  allowed_parameters = {
    "password" = []
    "token_ttl" = []
    "token_max_ttl" = []
    "token_no_default_policy" = []
  }
}
`,
  `path "identity/entity/name/+" {
  capabilities = ["create", "update", "read"]
  allowed_parameters = {
    "policies" = [${["viewer", "operator", "admin", "ci"].map((rank) => `"muster-${rank}"`).join(", ")}]
    "disabled" = []
    "metadata" = []
  }
}
`,
  rule("identity/entity/name", "list"),
  rule("identity/entity-alias", "create", "update"),
  rule("sys/auth", "read"),
];

const eachRole = (...capabilities: string[]) =>
  [...Object.keys(ROLES), ...Object.keys(GUEST_ROLES), ...Object.keys(HOST_ROLES)].map((path) =>
    rule(path, ...capabilities),
  );
const OWN_POLICIES = `sys/policies/acl/${policyOf("")}*`;

const RAFT = [
  rule("sys/storage/raft/configuration", "read"),
  rule("sys/storage/raft/autopilot/state", "read"),
];

/** What `ctl vault check` reads: how Vault is set up, and no secret. */
const LOOKS = [
  rule("sys/mounts", "read"),
  rule("sys/auth", "read"),
  rule("sys/audit", "read", "sudo"),
  ...RAFT,
  ...TRANSIT_KEYS.map((key) => rule(`transit/keys/${key}`, "read")),
  ...SSH_CAS.map((mount) => rule(`${mount}/config/ca`, "read")),
  ...eachRole("read"),
  rule(OWN_POLICIES, "read"),
];

/** What `ctl vault bootstrap` does, and `check` with the same token. The CAs' certificates need no permission to be read. */
const MAKES = [
  ...OWN_TOKEN,
  ...RAFT,
  rule("sys/mounts", "read"),
  ...MOUNTS.flatMap(({ path }) => [
    rule(`sys/mounts/${path}`, "create", "update"),
    rule(`sys/mounts/${path}/tune`, "create", "update"),
  ]),
  rule("sys/auth", "read"),
  ...Object.keys(AUTH_MOUNTS).map((path) => rule(`sys/auth/${path}`, "create", "update", "sudo")),
  rule("sys/audit", "read", "sudo"),
  rule("sys/audit/file", "create", "update", "sudo"),
  ...TRANSIT_KEYS.map((key) => rule(`transit/keys/${key}`, "create", "update", "read")),
  ...Object.keys(PKI_CAS).map((mount) => rule(`${mount}/root/generate/internal`, "create", "update", "sudo")),
  ...SSH_CAS.map((mount) => rule(`${mount}/config/ca`, "create", "update", "read")),
  ...eachRole("create", "update", "read"),
  rule(OWN_POLICIES, "create", "update", "read"),
];

/**
 * Policy name → text, for the token that Vault's owner makes for the time of a command; nothing of the fleet holds them. A token that may write policies
 * could give itself more: it is for an hour, and the audit log shows what was done with it.
 */
export const OWNER_POLICIES: Readonly<Record<string, string>> = {
  [policyOf("bootstrap")]: policy(MAKES),
  // And with it the first person, the recovery kit's certificate, what is signed for the broker, and log-ins of programs.
  [policyOf("init")]: policy(
    MAKES,
    Object.values(APPROLES).flatMap((role) => [
      rule(`auth/approle/role/${role}/role-id`, "read"),
      rule(`auth/approle/role/${role}/secret-id`, "create", "update"),
      rule(`auth/approle/role/${role}/secret-id/lookup`, "create", "update"),
    ]),
    rule("operators/sign/kit", "create", "update"),
    TRANSIT_KEYS.map((key) => rule(`transit/sign/${key}`, "create", "update")),
    rule("kv/data/muster/fleet", "create", "update", "read"),
    PEOPLE,
    JOIN_RULES,
  ),
};

/** Policy name → text, for what the fleet has. Least privilege: each line is one thing that the rank does. */
export const POLICIES: Readonly<Record<string, Written<string>>> = {
  [policyOf("controller")]: ({ fleet }) =>
    policy(
      OWN_TOKEN,
      signs("fleet-agent", "fleet-controller", "fleet-operator", "fleet-viewer", "fleet-guest", "fleet-page"),
      signsHosts(fleet),
      signing("controllers/sign/controller", { ...CSR, common_name: [] }),
      signing("services/sign/page", { ...CSR, common_name: [], alt_names: [] }),
      // What alert routes need to log in elsewhere, and nothing else of the fleet's secrets: nobody is there to read it for them at night.
      rule("kv/data/alerts/+", "read"),
    ),
  // What it reads of Vault is sealed; the key is in the recovery kit. Streams are copied with the rights of `ctl init`.
  [policyOf("backup")]: policy(
    OWN_TOKEN,
    signs("fleet-setup"),
    rule("sys/storage/raft/snapshot", "read"),
    rule("kv/data/muster/fleet", "read"),
  ),
  [policyOf("viewer")]: policy(OWN_TOKEN, issues("viewer")),
  [policyOf("ci")]: policy(OWN_TOKEN, issues("ci")),
  [policyOf("operator")]: (known) =>
    policy(OWN_TOKEN, issues("operator", "viewer"), JOIN_RULES, hostAliases(known)),
  [policyOf("admin")]: policy(
    OWN_TOKEN,
    issues("admin", "operator", "viewer"),
    signs("operator-signing", "sys-admin", "fleet-operator", "fleet-viewer", "fleet-setup"),
    rule("kv/data/muster/fleet", "read"),
    // Given, and not read again.
    rule("kv/data/alerts/+", "create", "update"),
    PEOPLE,
    JOIN_RULES,
    INVITE_RULES,
    FOREIGN_RULES,
    CUT_OFF_RULES,
    LOOKS,
  ),
  // For a monitoring of the firm's own.
  [policyOf("check")]: policy(OWN_TOKEN, LOOKS),
  ...HOST_POLICIES,
  ...GUEST_POLICIES,
};

/** Every policy, those for its owner's tokens too. Where one depends on the Vault that it is for, a placeholder stands in it. */
export const allPolicies = (known: Known = NOTHING_KNOWN): Record<string, string> => ({
  ...Object.fromEntries(Object.entries(POLICIES).map(([name, text]) => [name, forVault(text, known)])),
  ...OWNER_POLICIES,
});
