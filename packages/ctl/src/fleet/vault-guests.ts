/**
 * People who were invited to look on, as data at Vault: they have an entity, so that they can be cut off, and no log-in. The token in an invitation reaches
 * one role, once; that role signs for the entity's own name, and only together with what an admin wrote into the entity's metadata: until when, and which
 * groups of hosts. So nobody who holds the invitation can make more of it. The policy hangs on the token and not on the entity: a token that somebody else
 * makes for the entity reaches nothing. Pure. API: developer.hashicorp.com/vault/api-docs/auth/token, /secret/pki.
 */
import { GUEST_VAULT } from "@muster/protocol/invite";
import { policyOf } from "../session/ranks.ts";
import { type Fields, PERSON } from "./vault-roles.ts";

const DAY_S = 86_400;

/** Path at Vault → its fields. */
export const GUEST_ROLES: Readonly<Record<string, Fields>> = {
  [`operators/roles/${GUEST_VAULT.role}`]: {
    ...PERSON,
    ou: ["guest"],
    allowed_uri_sans: [`muster:guest:{{identity.entity.metadata.${GUEST_VAULT.metadata}}}`],
    allowed_uri_sans_template: true,
    max_ttl: 366 * DAY_S,
  },
  [`auth/token/roles/${GUEST_VAULT.token_role}`]: {
    allowed_policies: [policyOf("guest")],
    allowed_entity_aliases: [`${GUEST_VAULT.alias}*`],
    orphan: true,
    renewable: false,
    token_no_default_policy: true,
    token_num_uses: 1,
    token_explicit_max_ttl: 7 * DAY_S,
    token_type: "service",
  },
};

export const GUEST_POLICIES: Readonly<Record<string, string>> = {
  [policyOf("guest")]: `path "operators/sign/${GUEST_VAULT.role}" {\n  capabilities = ["update"]\n}\n`,
};

/** What an admin needs to invite: a wrapped token for one person. */
export const INVITE_RULES = [
  `path "${GUEST_VAULT.token_path}" {
  capabilities = ["create", "update"]
  required_parameters = ["entity_alias"]
  allowed_parameters = {
    "entity_alias" = []
    "ttl" = []
  }
  min_wrapping_ttl = "1s"
  max_wrapping_ttl = "${7 * DAY_S}s"
}
`,
];
