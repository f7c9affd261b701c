/**
 * All that a fleet has at Vault, piece by piece, in the order in which it can be made: the one description that `ctl init` and `ctl vault bootstrap` make,
 * `ctl vault check` compares and `ctl vault policies` prints. To add something, add it to vault-roles.ts or vault-policies.ts. Pure.
 */
import { GUEST_ROLES } from "./vault-guests.ts";
import { HOST_ROLES } from "./vault-hosts.ts";
import { POLICIES } from "./vault-policies.ts";
import {
  AUTH_MOUNTS,
  type Fields,
  forVault,
  MOUNTS,
  type Mount,
  PKI_CAS,
  type PkiMount,
  ROLES,
  SSH_CAS,
  TRANSIT_KEYS,
  type TransitKey,
  type Written,
} from "./vault-roles.ts";

export type Piece =
  | { readonly kind: "mount"; readonly mount: Mount }
  /** A log-in method at `auth/<path>`. */
  | { readonly kind: "login"; readonly path: string; readonly type: string }
  /** Any audit device will do; where there is none, this file. */
  | { readonly kind: "audit"; readonly file_path: string }
  | { readonly kind: "key"; readonly name: TransitKey }
  | { readonly kind: "ca"; readonly mount: PkiMount; readonly common_name: string }
  | { readonly kind: "ssh-ca"; readonly mount: (typeof SSH_CAS)[number] }
  /** What is written to a path and read back there. */
  | { readonly kind: "record"; readonly path: string; readonly fields: Written<Fields> };

/** Pieces of one stage do not need each other; those of a later one may need the earlier. */
export const STAGES: readonly (readonly Piece["kind"][])[] = [
  ["mount", "login", "audit"],
  ["key", "ca", "ssh-ca"],
  ["record"],
];

/** @param audit_file where Vault writes its audit log, on its own machine */
export function vaultPlan(fleet: string, audit_file: string): Piece[] {
  return [
    ...MOUNTS.map((mount) => ({ kind: "mount", mount }) as const),
    ...Object.entries(AUTH_MOUNTS).map(([path, type]) => ({ kind: "login", path, type }) as const),
    { kind: "audit", file_path: audit_file },
    ...TRANSIT_KEYS.map((name) => ({ kind: "key", name }) as const),
    ...(Object.keys(PKI_CAS) as PkiMount[]).map(
      (mount) => ({ kind: "ca", mount, common_name: `${fleet} ${PKI_CAS[mount]}` }) as const,
    ),
    ...SSH_CAS.map((mount) => ({ kind: "ssh-ca", mount }) as const),
    ...Object.entries({ ...ROLES, ...GUEST_ROLES }).map(
      ([path, fields]) => ({ kind: "record", path, fields }) as const,
    ),
    ...Object.entries(HOST_ROLES).map(
      ([path, fieldsOf]) => ({ kind: "record", path, fields: fieldsOf(fleet) }) as const,
    ),
    ...Object.entries(POLICIES).map(
      ([name, text]) =>
        ({
          kind: "record",
          path: `sys/policies/acl/${name}`,
          fields: (known) => ({ policy: forVault(text, known) }),
        }) satisfies Piece,
    ),
  ];
}
