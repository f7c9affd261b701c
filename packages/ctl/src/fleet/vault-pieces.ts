/**
 * One piece of the plan at a real Vault: what is there, how that differs, and what would be written. Only reads. API: developer.hashicorp.com/vault/api-docs.
 */
import { X509Certificate } from "node:crypto";
import { pki } from "@muster/ports/pki";
import { transit } from "@muster/ports/transit";
import type { Vault } from "@muster/ports/vault";
import { canonicalize } from "@muster/protocol/canonical";
import { FleetError } from "@muster/protocol/errors";
import { z } from "zod";
import type { Piece } from "./vault-plan.ts";
import {
  CA_LIFE_S,
  type Fields,
  forVault,
  type Known,
  type Mount,
  NOTHING_KNOWN,
  type PkiMount,
  type Wished,
} from "./vault-roles.ts";

/** How one piece is not as it should be. */
export type Difference = {
  /** What it is called in a few words: its path at Vault, mostly. */
  readonly name: string;
  readonly kind: Piece["kind"];
  readonly state: "missing" | "differs" | "conflict";
  /** Of what differs: field by field. */
  readonly fields: readonly { readonly name: string; readonly held: unknown; readonly wanted: unknown }[];
  /** What makes it right; null where something of another owner is in the place. */
  readonly write: { readonly path: string; readonly body: Fields } | null;
  /** Of a conflict: what is there, in words. */
  readonly why?: string;
};

const Record = z.record(z.string(), z.unknown());
const Mounted = z.record(
  z.string(),
  z.looseObject({
    type: z.string(),
    accessor: z.string().default(""),
    options: z.record(z.string(), z.string()).nullish(),
    config: z.looseObject({ max_lease_ttl: z.number().default(0) }).optional(),
  }),
);

/** What is read once for all pieces. */
export type Overview = {
  readonly mounts: z.output<typeof Mounted>;
  readonly auth: z.output<typeof Mounted>;
  readonly audit: Record<string, { readonly type: string; readonly options: Record<string, string> }>;
};
const Audit = z.record(z.string(), z.unknown()).transform((devices) => {
  const Device = z.object({
    type: z.string(),
    options: z
      .record(z.string(), z.string())
      .nullish()
      .transform((options) => options ?? {}),
  });
  // Beside the devices some answers hold words about the request.
  return Object.fromEntries(
    Object.entries(devices).flatMap(([path, device]) => {
      const read = Device.safeParse(device);
      return path.endsWith("/") && read.success ? [[path, read.data]] : [];
    }),
  );
});

/** Errors: VAULT_DENIED for a token that may not look. */
export async function overview(vault: Vault): Promise<Overview> {
  const [mounts, auth, audit] = await Promise.all([
    vault.read("sys/mounts", Mounted),
    vault.read("sys/auth", Mounted),
    vault.read("sys/audit", Audit),
  ]);
  return { mounts, auth, audit };
}

/** What roles and policies may depend on, for this Vault. */
export async function knownOf(
  vault: Vault,
  fleet: string,
  seen: Overview,
  plan: readonly Piece[],
  wished: Wished,
): Promise<Known> {
  const mounts = plan.flatMap((piece) => (piece.kind === "ca" ? [piece.mount] : []));
  const held = await Promise.all(
    mounts.map(async (mount) => [mount, await caOf(vault, mount, seen)] as const),
  );
  const cas = new Map<PkiMount, string | null>(held);
  return {
    ...NOTHING_KNOWN,
    fleet,
    accessor: accessorsOf(seen.auth),
    ca: (mount) => cas.get(mount) ?? NOTHING_KNOWN.ca(mount),
    ...wished,
  };
}

const accessorsOf =
  (auth: Overview["auth"]): Known["accessor"] =>
  (path) =>
    auth[`${path}/`]?.accessor ?? NOTHING_KNOWN.accessor(path);

/** As much of it as policies depend on, which an operator may read too. */
export const knownLogins = async (vault: Vault, fleet: string): Promise<Known> => ({
  ...NOTHING_KNOWN,
  fleet,
  accessor: accessorsOf(await vault.read("sys/auth", Mounted)),
});

/** null when the piece is as it should be. */
export async function differenceOf(
  vault: Vault,
  piece: Piece,
  seen: Overview,
  known: Known,
): Promise<Difference | null> {
  switch (piece.kind) {
    case "mount":
      return mountDifference(piece.mount, seen);
    case "login":
      return loginDifference(piece, seen);
    case "audit":
      return Object.keys(seen.audit).length > 0
        ? null
        : missing(piece, "audit log", "sys/audit/file", {
            type: "file",
            options: { file_path: piece.file_path },
          });
    case "key":
      return (await absent(transit(vault).publicKey(piece.name))) === null
        ? missing(piece, `transit/${piece.name}`, `transit/keys/${piece.name}`, {
            type: "ed25519",
            exportable: false,
            allow_plaintext_backup: false,
          })
        : null;
    case "ca":
      return caDifference(vault, piece, seen);
    case "ssh-ca":
      return (await absent(vault.read(`${piece.mount}/config/ca`, Record))) === null
        ? missing(piece, `${piece.mount} CA`, `${piece.mount}/config/ca`, {
            generate_signing_key: true,
            key_type: "ed25519",
          })
        : null;
    case "record":
      return recordDifference(vault, piece, known);
  }
}

/** Vault's answer, or null when it has nothing there. Some paths say so with 400. */
async function absent<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof FleetError && (error.code === "VAULT_NOT_FOUND" || error.code === "VAULT_REFUSED"))
      return null;
    throw error;
  }
}

/** Where there is no mount, Vault refuses everybody but root. */
export const caOf = (vault: Vault, mount: PkiMount, seen: Overview): Promise<string | null> =>
  seen.mounts[`${mount}/`] === undefined ? Promise.resolve(null) : absent(pki(vault).caCertificate(mount));

function missing(piece: Piece, name: string, path: string, body: Fields): Difference {
  return { name, kind: piece.kind, state: "missing", fields: [], write: { path, body } };
}

function conflict(piece: Piece, name: string, why: string): Difference {
  return { name, kind: piece.kind, state: "conflict", fields: [], write: null, why };
}

function mountDifference(mount: Mount, seen: Overview): Difference | null {
  const piece: Piece = { kind: "mount", mount };
  const held = seen.mounts[`${mount.path}/`];
  if (held === undefined)
    return missing(piece, mount.path, `sys/mounts/${mount.path}`, {
      type: mount.type,
      ...(mount.max_ttl_s === undefined ? {} : { config: { max_lease_ttl: `${mount.max_ttl_s}s` } }),
      ...(mount.version === undefined ? {} : { options: { version: mount.version } }),
    });
  if (held.type !== mount.type || (mount.version !== undefined && held.options?.version !== mount.version)) {
    const version = mount.version === undefined ? "" : ` version ${mount.version}`;
    const why = `Vault has ${held.type} at ${mount.path}/, and the fleet needs ${mount.type}${version} there`;
    return conflict(piece, mount.path, why);
  }
  const held_s = held.config?.max_lease_ttl ?? 0;
  if (mount.max_ttl_s === undefined || held_s === mount.max_ttl_s) return null;
  return {
    name: mount.path,
    kind: "mount",
    state: "differs",
    fields: [{ name: "max_lease_ttl", held: held_s, wanted: mount.max_ttl_s }],
    write: { path: `sys/mounts/${mount.path}/tune`, body: { max_lease_ttl: `${mount.max_ttl_s}s` } },
  };
}

function loginDifference(piece: Piece & { kind: "login" }, seen: Overview): Difference | null {
  const name = `auth/${piece.path}`;
  const held = seen.auth[`${piece.path}/`];
  if (held === undefined) return missing(piece, name, `sys/auth/${piece.path}`, { type: piece.type });
  if (held.type === piece.type) return null;
  return conflict(piece, name, `Vault has ${held.type} at ${name}/, and the fleet needs ${piece.type} there`);
}

/** A CA of another name is another fleet's, or a firm's own: its roles are not ours to write over. */
async function caDifference(
  vault: Vault,
  piece: Piece & { kind: "ca" },
  seen: Overview,
): Promise<Difference | null> {
  const { mount, common_name } = piece;
  const held = await caOf(vault, mount, seen);
  if (held === null)
    return missing(piece, `${mount} CA`, `${mount}/root/generate/internal`, {
      common_name,
      ttl: `${CA_LIFE_S - 60}s`,
      key_type: "ec",
      key_bits: 256,
      max_path_length: 0,
      exclude_cn_from_sans: true,
      // Before what it signs first begins: roles date back a little, for clocks that are late.
      not_before_duration: "600s",
    });
  const { subject } = new X509Certificate(held);
  if (subject === `CN=${common_name}`) return null;
  return conflict(
    piece,
    `${mount} CA`,
    `Vault has the CA "${subject}" at ${mount}/; the fleet needs one of its own there (CN=${common_name})`,
  );
}

async function recordDifference(
  vault: Vault,
  piece: Piece & { kind: "record" },
  known: Known,
): Promise<Difference | null> {
  const body = forVault(piece.fields, known);
  const held = await absent(vault.read(piece.path, Record));
  if (held === null) return missing(piece, piece.path, piece.path, body);
  const fields = Object.keys(body)
    .filter((name) => canonicalize(held[name] ?? null) !== canonicalize(body[name]))
    .map((name) => ({ name, held: held[name] ?? null, wanted: body[name] }));
  if (fields.length === 0) return null;
  return { name: piece.path, kind: "record", state: "differs", fields, write: { path: piece.path, body } };
}
