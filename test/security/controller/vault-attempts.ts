/**
 * What the controller's log-in may not do at Vault. The list is made from the fleet's own plan of mounts, keys and roles, so that a new one is tried by
 * itself; `MAY` is the whole of what is open. API: developer.hashicorp.com/vault/api-docs.
 */
import type { Vault } from "@muster/ports/vault";
import { HOST_VAULT } from "@muster/protocol/host-vault";
import { z } from "zod";
import { GUEST_ROLES } from "../../../packages/ctl/src/fleet/vault-guests.ts";
import { HOST_ROLES } from "../../../packages/ctl/src/fleet/vault-hosts.ts";
import { FOREIGN_LOGINS } from "../../../packages/ctl/src/fleet/vault-logins.ts";
import { POLICIES } from "../../../packages/ctl/src/fleet/vault-policies.ts";
import {
  APPROLES,
  AUTH_MOUNTS,
  MOUNTS,
  PKI_CAS,
  ROLES,
  SSH_CAS,
  TRANSIT_KEYS,
} from "../../../packages/ctl/src/fleet/vault-roles.ts";
import type { Attempt } from "./attempts.ts";

type Verb = "read" | "write" | "list" | "remove";
type Call = readonly [Verb, string, object?];

/** All that a controller may do at Vault, beside its own token. What is tried with these is in certificate-attempts.ts. */
export const MAY: readonly string[] = [
  "transit/sign/fleet-agent",
  "transit/sign/fleet-controller",
  "transit/sign/fleet-operator",
  "transit/sign/fleet-viewer",
  "transit/sign/fleet-guest",
  "transit/sign/fleet-page",
  "services/sign/host",
  "ssh-host/sign/host",
  "controllers/sign/controller",
];
/** The secrets that are its own: what alert routes log in with. */
const READABLE = [
  "kv/data/alerts/smtp",
  ...TRANSIT_KEYS.filter((key) => MAY.includes(`transit/sign/${key}`)).map((key) => `transit/keys/${key}`),
];
/** These end the server or the test's own means where they are allowed, or are off (`sys/raw`). */
export const ONCE =
  /^sys\/(raw|seal|step-down|audit|auth|mounts|remount|generate-root|rekey|rotate)|^auth\/token\/revoke/;

const input = { input: Buffer.from("x").toString("base64") };

const transitCalls: Call[] = TRANSIT_KEYS.flatMap((key): Call[] => [
  ["write", `transit/sign/${key}`, input],
  ["write", `transit/sign/${key}/sha2-256`, input],
  ["write", `transit/hmac/${key}`, input],
  ["write", `transit/encrypt/${key}`, { plaintext: input.input }],
  ["write", `transit/decrypt/${key}`, { ciphertext: "vault:v1:x" }],
  ["read", `transit/export/signing-key/${key}`],
  ["read", `transit/export/encryption-key/${key}`],
  ["read", `transit/backup/${key}`],
  ["write", `transit/restore/${key}`, { backup: "x" }],
  ["read", `transit/keys/${key}`],
  ["write", `transit/keys/${key}`, { type: "ed25519", exportable: true }],
  ["write", `transit/keys/${key}/config`, { exportable: true, allow_plaintext_backup: true }],
  ["write", `transit/keys/${key}/rotate`],
  ["write", `transit/keys/${key}/trim`, { min_available_version: 1 }],
  ["remove", `transit/keys/${key}`],
]);

const pkiCalls: Call[] = Object.keys(PKI_CAS).flatMap((mount): Call[] => [
  ["write", `${mount}/sign-verbatim`, { csr: "x" }],
  ["write", `${mount}/root/sign-intermediate`, { csr: "x", common_name: "x" }],
  ["write", `${mount}/root/sign-self-issued`, { certificate: "x" }],
  ["write", `${mount}/root/generate/exported`, { common_name: "x" }],
  ["write", `${mount}/root/generate/internal`, { common_name: "x" }],
  ["write", `${mount}/root/replace`, { default: "x" }],
  ["remove", `${mount}/root`],
  ["write", `${mount}/intermediate/generate/exported`, { common_name: "x" }],
  ["write", `${mount}/intermediate/set-signed`, { certificate: "x" }],
  ["write", `${mount}/issuers/import/bundle`, { pem_bundle: "x" }],
  ["write", `${mount}/keys/generate/exported`, { key_type: "ed25519" }],
  ["write", `${mount}/keys/import`, { pem_bundle: "x" }],
  ["list", `${mount}/keys`],
  ["write", `${mount}/config/ca`, { pem_bundle: "x" }],
  ["write", `${mount}/config/urls`, { issuing_certificates: "https://x" }],
  ["write", `${mount}/config/crl`, { disable: true }],
  ["write", `${mount}/revoke`, { serial_number: "1" }],
  ["list", `${mount}/roles`],
  ["write", `${mount}/roles/evil`, { allow_any_name: true }],
]);
const sshCalls: Call[] = SSH_CAS.flatMap((mount): Call[] => [
  ["write", `${mount}/config/ca`, { generate_signing_key: true }],
  ["remove", `${mount}/config/ca`],
  ["list", `${mount}/roles`],
  ["write", `${mount}/roles/evil`, { key_type: "ca", allow_user_certificates: true }],
  ["write", `${mount}/sign/evil`, { public_key: "x" }],
  ["write", `${mount}/issue/host`, { cert_type: "user" }],
]);
/** Every role of the plan: to use it, around it, to change it. */
const roleCalls: Call[] = Object.keys({ ...ROLES, ...GUEST_ROLES, ...HOST_ROLES }).flatMap((path): Call[] => {
  const change: Call[] = [
    ["read", path],
    ["write", path, { allow_any_name: true }],
    ["remove", path],
  ];
  const [mount, roles, role] = path.split("/");
  if (roles !== "roles") return change;
  return [
    ...change,
    ["write", `${mount}/sign/${role}`, { csr: "x", common_name: "x", public_key: "x" }],
    ["write", `${mount}/issue/${role}`, { common_name: "x" }],
    ...(mount !== undefined && mount in PKI_CAS ? aroundRole(mount, role ?? "") : []),
  ];
});
function aroundRole(mount: string, role: string): Call[] {
  return [
    ["write", `${mount}/sign-verbatim/${role}`, { csr: "x" }],
    ["write", `${mount}/issuer/default/sign/${role}`, { csr: "x", common_name: "x" }],
    ["write", `${mount}/issuer/default/issue/${role}`, { common_name: "x" }],
  ];
}
const secretCalls: Call[] = [
  ["read", "kv/data/muster/fleet"],
  ["read", "kv/data/as64500/bgp"],
  ["read", "kv/subkeys/as64500/bgp"],
  ["read", "kv/data/hosts/core1/bgp"],
  ["list", "kv/metadata"],
  ["list", "kv/metadata/as64500"],
  ["write", "kv/data/as64500/bgp", { data: { password: "x" } }],
  ["remove", "kv/metadata/as64500/bgp"],
  ["list", "kv/metadata/alerts"],
  ["read", "kv/metadata/alerts/smtp"],
  ["read", "kv/data/alerts/smtp/deeper"],
  ["write", "kv/data/alerts/smtp", { data: { password: "x" } }],
  ["remove", "kv/data/alerts/smtp"],
];
const loginCalls: Call[] = [
  ...Object.keys(AUTH_MOUNTS).flatMap((mount): Call[] => [
    ["read", `sys/auth/${mount}/tune`],
    ["remove", `sys/auth/${mount}`],
  ]),
  ["write", "auth/token/create/muster-guest", { entity_alias: "guest-bob" }],
  ...Object.keys(FOREIGN_LOGINS).flatMap((mount): Call[] => [
    ["read", `auth/${mount}/config`],
    ["write", `auth/${mount}/config`, { oidc_discovery_url: "https://evil.example" }],
    ["list", `auth/${mount}/role`],
    ["read", `auth/${mount}/role/alice`],
    ["write", `auth/${mount}/role/alice`, { user_claim: "sub", bound_claims: { sub: "evil" } }],
    ["remove", `auth/${mount}/role/alice`],
  ]),
  ...Object.values(APPROLES).flatMap((role): Call[] => [
    ["read", `auth/approle/role/${role}/role-id`],
    ["write", `auth/approle/role/${role}/secret-id`],
    ["write", `auth/approle/role/${role}/custom-secret-id`, { secret_id: "x".repeat(36) }],
    ["list", `auth/approle/role/${role}/secret-id`],
    ["write", `auth/approle/role/${role}/secret-id-bound-cidrs`, { secret_id_bound_cidrs: "0.0.0.0/0" }],
    ["write", `auth/approle/role/${role}/policies`, { token_policies: "root" }],
  ]),
  ["list", "auth/approle/role"],
  ["list", "auth/userpass/users"],
  ["read", "auth/userpass/users/alice"],
  ["write", "auth/userpass/users/alice", { password: "x" }],
  ["write", "auth/userpass/users/alice/password", { password: "x" }],
  ["write", "auth/token/create", { policies: ["root"] }],
  ["write", "auth/token/create", {}],
  ["write", "auth/token/create-orphan", {}],
  ["write", HOST_VAULT.join_token_path, { entity_alias: "x" }],
  ["write", "auth/token/roles/evil", {}],
  ["list", "auth/token/accessors"],
  ["write", "auth/token/lookup", { token: "x" }],
  ["list", "identity/entity/name"],
  ["read", "identity/entity/name/alice"],
  ["write", "identity/entity/name/alice", { policies: ["muster-admin"] }],
  ["write", "identity/entity", { name: "evil", policies: ["muster-admin"] }],
  ["write", "identity/entity-alias", { name: "muster-controller" }],
  ["write", "identity/entity/merge", { from_entity_ids: ["x"], to_entity_id: "x" }],
  ["write", "identity/group", { name: "evil", policies: ["muster-admin"] }],
  ["write", "identity/lookup/entity", { name: "alice" }],
  ["read", "identity/oidc/token/evil"],
];
const serverCalls: Call[] = [
  ...MOUNTS.flatMap(({ path }): Call[] => [
    ["read", `sys/mounts/${path}/tune`],
    ["write", `sys/mounts/${path}/tune`, { max_lease_ttl: "87600h" }],
    ["remove", `sys/mounts/${path}`],
  ]),
  ...Object.keys(POLICIES).map((name): Call => ["write", `sys/policies/acl/${name}`, { policy: "" }]),
  ["list", "sys/policies/acl"],
  ["read", "sys/policies/acl/muster-controller"],
  ["write", "sys/policy/evil", { policy: "" }],
  ["read", "sys/mounts"],
  ["write", "sys/mounts/evil", { type: "kv" }],
  ["write", "sys/remount", { from: "kv", to: "evil" }],
  ["read", "sys/auth"],
  ["write", "sys/auth/evil", { type: "cert" }],
  ["read", "sys/audit"],
  ["write", "sys/audit/evil", { type: "file", options: { file_path: "/tmp/evil" } }],
  ["remove", "sys/audit/file"],
  ["read", "sys/raw/core/keyring"],
  ["read", "sys/storage/raft/snapshot"],
  ["read", "sys/storage/raft/configuration"],
  ["write", "sys/storage/raft/remove-peer", { server_id: "test" }],
  ["write", "sys/leases/lookup", { lease_id: "x" }],
  ["write", "sys/leases/revoke", { lease_id: "x" }],
  ["write", "sys/wrapping/wrap", { x: "x" }],
  ["write", "sys/capabilities", { token: "x", paths: ["kv"] }],
  ["read", "sys/config/cors"],
  ["list", "sys/plugins/catalog/secret"],
  ["write", "sys/tools/random"],
  ["write", "sys/seal"],
  ["write", "sys/step-down"],
  ["write", "sys/rotate"],
  ["read", "sys/host-info"],
  ["read", "sys/in-flight-req"],
];

export const CALLS: readonly Call[] = [
  ...transitCalls,
  ...pkiCalls,
  ...sshCalls,
  ...roleCalls,
  ...secretCalls,
  ...loginCalls,
  ...serverCalls,
];

export function call(vault: Vault, [verb, path, body]: Call): Promise<unknown> {
  if (verb === "write") return vault.write(path, body ?? {});
  if (verb === "list") return vault.list(path);
  if (verb === "remove") return vault.remove(path);
  return vault.read(path, z.unknown());
}

const WORDS: Record<Verb, string> = { read: "read", write: "write", list: "list", remove: "delete" };

/** Which promise a path would break: a secret or a key that leaves, or an identity that is made. */
const promiseOf = (path: string): Attempt["promise"] =>
  /^(kv|transit\/(export|backup))|snapshot|sys\/raw/.test(path) ? "P1" : "P2";

export function vaultAttempts(vault: Vault): Attempt[] {
  return CALLS.filter(
    ([verb, path]) =>
      !(verb === "write" && MAY.includes(path)) && !(verb === "read" && READABLE.includes(path)),
  ).map((each) => ({
    promise: promiseOf(each[1]),
    by: "Vault",
    what: `${WORDS[each[0]]} ${each[1]}`,
    refused: ["VAULT_DENIED"],
    act: () => call(vault, each),
  }));
}
