/**
 * Log-ins by what somebody else says: a person at the firm's identity provider (OIDC), a job at the forge (its signed token). As data, in the form that Vault
 * takes. Each person and each job has a role of their own at Vault, which names the one claim that is them; so nobody comes in whom an admin did not name,
 * and what they may do hangs on their entity, which no provider reaches. Pure. API: developer.hashicorp.com/vault/api-docs/auth/jwt.
 */
import { AUTHORITY_S } from "../session/ranks.ts";
import type { Fields } from "./vault-roles.ts";

/** Where people's provider is set: a mount of our own, since one mount knows one provider, and a firm's `auth/oidc` is the firm's. */
export const OIDC_LOGIN = "muster-oidc";
/** Where the forge is set. */
export const CI_LOGIN = "muster-ci";
/** Path below `auth/` → type. */
export const FOREIGN_LOGINS = { [OIDC_LOGIN]: "oidc", [CI_LOGIN]: "jwt" } as const;
export type ForeignLogin = keyof typeof FOREIGN_LOGINS;

/** Where `ctl login --oidc` listens; providers want the addresses said beforehand. Vault's own program uses the first. */
export const CALLBACK_PORTS = [8250, 8251, 8252] as const;
export const callbackAddress = (port: number) => `http://localhost:${port}/oidc/callback`;
const CALLBACKS = CALLBACK_PORTS.map(callbackAddress);

/** How long a job's log-in lasts. */
export const JOB_S = 3_600;
/** What the forge has to write into the token: made for this fleet and nothing else. */
export const audienceOf = (fleet: string) => `muster-${fleet}`;

/** Who it is: the first claim is the one that names them, the others must fit as well. */
export type Claims = readonly [
  readonly [string, string],
  ...(readonly (readonly [string, string | boolean | readonly string[]])[]),
];

/** By whom a person or job is let in, and as whom. */
export type ForeignWay =
  | { readonly login: typeof OIDC_LOGIN; readonly claims: Claims }
  | { readonly login: typeof CI_LOGIN; readonly claims: Claims; readonly audience: string };

/** What has to be asked of the provider so that it tells the claim. */
const SCOPES: Readonly<Record<string, readonly string[]>> = { sub: [], email: ["email"] };

/** The role of one person or job. No policy stands in it: what they may is their entity's. */
export function roleOf(way: ForeignWay): Fields {
  const [[claim]] = way.claims;
  const life_s = way.login === OIDC_LOGIN ? AUTHORITY_S : JOB_S;
  const common = {
    user_claim: claim,
    bound_claims: Object.fromEntries(way.claims),
    token_ttl: life_s,
    token_max_ttl: life_s,
    token_no_default_policy: true,
  };
  if (way.login === CI_LOGIN) return { ...common, role_type: "jwt", bound_audiences: way.audience };
  return {
    ...common,
    role_type: "oidc",
    // As text and not as lists: that is the form in which the admins' policy can limit them.
    allowed_redirect_uris: CALLBACKS.join(","),
    oidc_scopes: (SCOPES[claim] ?? ["profile"]).join(","),
  };
}

const listed = (fields: Readonly<Record<string, readonly unknown[]>>) =>
  Object.entries(fields)
    .map(([name, values]) => `    "${name}" = [${values.map((value) => JSON.stringify(value)).join(", ")}]\n`)
    .join("");
const writes = (
  path: string,
  capabilities: readonly string[],
  fields: Readonly<Record<string, readonly unknown[]>>,
) =>
  `path "${path}" {
  capabilities = [${capabilities.map((one) => `"${one}"`).join(", ")}]
  allowed_parameters = {
${listed(fields)}  }
}
`;
const ROLE = ["create", "update", "read", "delete"];
const WHO = {
  user_claim: [],
  bound_claims: [],
  token_ttl: [],
  token_max_ttl: [],
  token_no_default_policy: [true],
};
const PROVIDER = {
  oidc_discovery_url: [],
  oidc_discovery_ca_pem: [],
  bound_issuer: [],
  jwt_supported_algs: [],
};

/** What an admin needs to say which provider and forge there are, and who comes by them. Never with what rights: that is the entity's. */
export const FOREIGN_RULES: readonly string[] = [
  writes(`auth/${OIDC_LOGIN}/role/+`, ROLE, {
    ...WHO,
    role_type: ["oidc"],
    allowed_redirect_uris: [CALLBACKS.join(",")],
    oidc_scopes: [],
  }),
  writes(`auth/${CI_LOGIN}/role/+`, ROLE, { ...WHO, role_type: ["jwt"], bound_audiences: [] }),
  writes(`auth/${OIDC_LOGIN}/config`, ["update", "read"], {
    ...PROVIDER,
    oidc_client_id: [],
    oidc_client_secret: [],
  }),
  writes(`auth/${CI_LOGIN}/config`, ["update", "read"], PROVIDER),
  // Whose a name at a provider is already.
  writes("identity/lookup/entity", ["update"], { alias_name: [], alias_mount_accessor: [] }),
  ...["userpass/users", `${OIDC_LOGIN}/role`, `${CI_LOGIN}/role`].map(
    (path) => `path "auth/${path}" {\n  capabilities = ["list"]\n}\n`,
  ),
];
