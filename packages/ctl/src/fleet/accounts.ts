/**
 * The NATS side of a fleet: operator, accounts SYS, FLEET and ENROL with their scopes and limits, as claims. Signed by the operator's signing key in
 * Vault Transit; compared without the time of signing, so that a second run can tell whether anything differs.
 */
import { canonicalize } from "@muster/protocol/canonical";
import { type AccountSpec, accountJwt, type JwtSigner, revocationsOf } from "@muster/protocol/jwt";
import { encodePublic } from "@muster/protocol/nkey";
import {
  PERMISSIONS,
  patterns,
  ROLES,
  SETUP_PERMISSIONS,
  SYSTEM_EXPORTS,
  SYSTEM_PERMISSIONS,
  systemImports,
} from "@muster/protocol/subjects";
import { pruned } from "./revocations.ts";
import type { TransitKey } from "./vault-roles.ts";

/** Public nkeys of the identities; the seeds are in the recovery kit. */
export type AccountKeys = {
  readonly operator: string;
  readonly system: string;
  readonly fleet: string;
  readonly enrol: string;
  /** The kit's own signing key of FLEET. */
  readonly access: string;
};

/** What machines without credentials can use up at most. */
const ENROL_LIMITS = { connections: 2_000, subscriptions: 10_000, payload_bytes: 64 * 1024 } as const;

/** The three accounts. Pure. */
export function accountSpecs(
  keys: AccountKeys,
  transit_keys: Readonly<Record<TransitKey, Uint8Array>>,
): AccountSpec[] {
  const key = (name: TransitKey) => encodePublic("account", transit_keys[name]);
  return [
    {
      name: "SYS",
      key: keys.system,
      jetstream: false,
      exports: SYSTEM_EXPORTS,
      scopes: [{ role: "sys-admin", key: key("sys-admin"), permissions: SYSTEM_PERMISSIONS }],
    },
    {
      name: "FLEET",
      key: keys.fleet,
      jetstream: true,
      exports: [{ name: "enrol", subject: patterns.enrol }],
      imports: systemImports(keys),
      scopes: [
        ...ROLES.map((role) => ({ role, key: key(`fleet-${role}`), permissions: PERMISSIONS[role] })),
        { role: "setup", key: key("fleet-setup"), permissions: SETUP_PERMISSIONS },
        { role: "kit", key: keys.access, permissions: PERMISSIONS.operator },
      ],
    },
    {
      name: "ENROL",
      key: keys.enrol,
      jetstream: false,
      scopes: [],
      imports: [{ name: "enrol", subject: patterns.enrol, account: keys.fleet }],
      limits: ENROL_LIMITS,
    },
  ];
}

const bodyOf = (jwt: string) =>
  JSON.parse(Buffer.from(jwt.split(".")[1] ?? "", "base64url").toString()) as Record<string, unknown>;

/** A JWT's claims as one text, without when and under which number it was signed. */
export function claimsOf(jwt: string): string {
  const { iat, jti, ...claims } = bodyOf(jwt);
  return canonicalize(claims);
}

/** When a JWT was signed, seconds since 1970. */
export const issuedAt = (jwt: string): number => Number(bodyOf(jwt).iat);

/** The account's JWT: the one that is held when it says the same. What that one voids stays void, for as long as it matters. */
export async function signAccount(
  spec: AccountSpec,
  signer: JwtSigner,
  held: string | undefined,
  now_ms: number,
): Promise<string> {
  const revocations = held === undefined ? {} : pruned(revocationsOf(held), now_ms);
  // A broker keeps the newest, by the second.
  const issued_ms = held === undefined ? now_ms : Math.max(now_ms, (issuedAt(held) + 1) * 1_000);
  const fresh = await accountJwt({ ...spec, revocations }, signer, issued_ms);
  return held !== undefined && claimsOf(held) === claimsOf(fresh) ? held : fresh;
}
