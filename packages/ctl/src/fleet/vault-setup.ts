/**
 * Brings a Vault to what `vault-plan.ts` says: reads first, writes what differs, deletes nothing. Every step says what it changed, so that a second run can
 * say that it changed nothing.
 */
import { X509Certificate } from "node:crypto";
import { pki } from "@muster/ports/pki";
import { sshCa } from "@muster/ports/sshca";
import { transit } from "@muster/ports/transit";
import type { Vault } from "@muster/ports/vault";
import { canonicalize } from "@muster/protocol/canonical";
import { FleetError } from "@muster/protocol/errors";
import { z } from "zod";
import {
  APPROLES,
  AUTH_MOUNTS,
  approleFields,
  CA_LIFE_S,
  MOUNTS,
  type Mount,
  PKI_ROLES,
  POLICIES,
  SSH_ROLES,
  TRANSIT_KEYS,
  type TransitKey,
} from "./vault-plan.ts";

const Mounted = z.record(
  z.string(),
  z.looseObject({ type: z.string(), options: z.record(z.string(), z.string()).nullish() }),
);
/** The backup runs beside Vault. */
export const LOOPBACK = ["127.0.0.1/32", "::1/128"];
const Fields = z.record(z.string(), z.unknown());

/** What Vault holds for the fleet: public parts only. */
export type VaultMade = {
  /** Raw Ed25519 public keys. */
  readonly keys: Readonly<Record<TransitKey, Uint8Array>>;
  /** Issuing CAs, PEM. */
  readonly ca: {
    readonly operators: string;
    readonly controllers: string;
    readonly services: string;
    readonly identity: string;
  };
  readonly ssh: { readonly host: string; readonly user: string };
};

export type Changes = {
  /** What was changed, a few words each. */
  readonly made: string[];
  /** What could not be done and is not needed to go on. */
  readonly warnings: string[];
};

/** Vault's answer, or null when it has nothing there. Some paths say so with 400. */
async function peek<S extends z.ZodType>(vault: Vault, path: string, schema: S): Promise<z.output<S> | null> {
  try {
    return await vault.read(path, schema);
  } catch (error) {
    if (error instanceof FleetError && (error.code === "VAULT_NOT_FOUND" || error.code === "VAULT_REFUSED"))
      return null;
    throw error;
  }
}

/** Writes `fields` to `path` unless what is there agrees in all of them. */
async function ensure(
  vault: Vault,
  path: string,
  fields: Readonly<Record<string, unknown>>,
  changes: Changes,
): Promise<void> {
  const held = await peek(vault, path, Fields);
  const differs = (name: string) => canonicalize(held?.[name] ?? null) !== canonicalize(fields[name]);
  if (held !== null && !Object.keys(fields).some(differs)) return;
  await vault.write(path, fields);
  changes.made.push(path);
}

/**
 * Errors: VAULT_DENIED for a token that may not do all this, CONFLICT where a mount of another type has the path.
 * @param options.networks from where a controller's log-in works; empty = anywhere
 */
export async function setUpVault(
  vault: Vault,
  fleet: string,
  options: { networks: readonly string[]; audit_file: string },
  changes: Changes,
): Promise<VaultMade> {
  await ensureMounts(vault, changes);
  await ensureAudit(vault, options.audit_file, changes);
  const keys = {} as Record<TransitKey, Uint8Array>;
  for (const key of TRANSIT_KEYS) keys[key] = await ensureKey(vault, key, changes);
  const ca = {
    operators: await ensureCa(vault, "operators", `${fleet} operators`, changes),
    controllers: await ensureCa(vault, "controllers", `${fleet} controllers`, changes),
    services: await ensureCa(vault, "services", `${fleet} services`, changes),
    identity: await ensureCa(vault, "identity-ca", `${fleet} identity`, changes),
  };
  const ssh = {
    host: await ensureSshCa(vault, "ssh-host", changes),
    user: await ensureSshCa(vault, "ssh-user", changes),
  };
  for (const [name, fields] of Object.entries({ ...PKI_ROLES, ...SSH_ROLES })) {
    const [mount = "", role = ""] = name.split("/");
    await ensure(vault, `${mount}/roles/${role}`, fields, changes);
  }
  for (const [name, policy] of Object.entries(POLICIES))
    await ensure(vault, `sys/policies/acl/${name}`, { policy }, changes);
  const roles = { controller: options.networks, backup: LOOPBACK };
  for (const program of ["controller", "backup"] as const)
    await ensure(
      vault,
      `auth/approle/role/${APPROLES[program]}`,
      approleFields(program, roles[program]),
      changes,
    );
  return { keys, ca, ssh };
}

async function ensureMounts(vault: Vault, changes: Changes): Promise<void> {
  const mounted = await vault.read("sys/mounts", Mounted);
  for (const mount of MOUNTS) {
    const held = mounted[`${mount.path}/`];
    if (held === undefined) await enable(vault, mount, changes);
    else if (
      held.type !== mount.type ||
      (mount.version !== undefined && held.options?.version !== mount.version)
    ) {
      const version = mount.version === undefined ? "" : ` version ${mount.version}`;
      throw new FleetError(
        "CONFLICT",
        `Vault has ${held.type} at ${mount.path}/, and the fleet needs ${mount.type}${version} there`,
      );
    }
  }
  const auth = await vault.read("sys/auth", Mounted);
  for (const method of AUTH_MOUNTS) {
    const held = auth[`${method}/`];
    if (held !== undefined && held.type !== method)
      throw new FleetError("CONFLICT", `Vault has ${held.type} at auth/${method}/`);
    if (held === undefined) {
      await vault.write(`sys/auth/${method}`, { type: method });
      changes.made.push(`auth/${method}`);
    }
  }
}

async function enable(vault: Vault, mount: Mount, changes: Changes): Promise<void> {
  await vault.write(`sys/mounts/${mount.path}`, {
    type: mount.type,
    ...(mount.max_ttl_s === undefined ? {} : { config: { max_lease_ttl: `${mount.max_ttl_s}s` } }),
    ...(mount.version === undefined ? {} : { options: { version: mount.version } }),
  });
  changes.made.push(mount.path);
}

/** Answers are given only after they are written to the audit file, so a full disk stops Vault: said in the runbook. */
async function ensureAudit(vault: Vault, file_path: string, changes: Changes): Promise<void> {
  const devices = await vault.read("sys/audit", Fields);
  if (
    Object.values(devices).some((device) => typeof device === "object" && device !== null && "type" in device)
  )
    return;
  try {
    await vault.write("sys/audit/file", { type: "file", options: { file_path } });
    changes.made.push("sys/audit/file");
  } catch (error) {
    if (!(error instanceof FleetError) || (error.code !== "VAULT_REFUSED" && error.code !== "VAULT_DENIED"))
      throw error;
    changes.warnings.push(
      `Vault keeps no audit log, since it cannot write ${file_path} (${error.detail}); give another place with --audit-file`,
    );
  }
}

async function ensureKey(vault: Vault, key: TransitKey, changes: Changes): Promise<Uint8Array> {
  const keys = transit(vault);
  try {
    return await keys.publicKey(key);
  } catch (error) {
    if (!(error instanceof FleetError) || error.code !== "VAULT_NOT_FOUND") throw error;
  }
  changes.made.push(`transit/${key}`);
  return keys.createKey(key);
}

/** A CA of another name is another fleet's, or a firm's own: its roles are not ours to write over. */
async function ensureCa(vault: Vault, mount: string, common_name: string, changes: Changes): Promise<string> {
  try {
    const held = await pki(vault).caCertificate(mount);
    const { subject } = new X509Certificate(held);
    if (subject === `CN=${common_name}`) return held;
    throw new FleetError(
      "CONFLICT",
      `Vault has the CA "${subject}" at ${mount}/; the fleet needs one of its own there (CN=${common_name})`,
    );
  } catch (error) {
    if (!(error instanceof FleetError) || error.code !== "VAULT_NOT_FOUND") throw error;
  }
  await vault.write(`${mount}/root/generate/internal`, {
    common_name,
    ttl: `${CA_LIFE_S - 60}s`,
    key_type: "ec",
    key_bits: 256,
    max_path_length: 0,
    exclude_cn_from_sans: true,
    // Before what it signs first begins: roles date back a little, for clocks that are late.
    not_before_duration: "600s",
  });
  changes.made.push(`${mount} CA`);
  return pki(vault).caCertificate(mount);
}

async function ensureSshCa(vault: Vault, mount: string, changes: Changes): Promise<string> {
  if ((await peek(vault, `${mount}/config/ca`, Fields)) === null) {
    await vault.write(`${mount}/config/ca`, { generate_signing_key: true, key_type: "ed25519" });
    changes.made.push(`${mount} CA`);
  }
  return sshCa(vault).caPublicKey(mount);
}
