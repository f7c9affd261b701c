/**
 * Brings a Vault to what vault-plan.ts says: looks first, writes what differs, deletes nothing. Every step says what it changed, so that a second run can
 * say that it changed nothing.
 */
import { pki } from "@muster/ports/pki";
import { sshCa } from "@muster/ports/sshca";
import { transit } from "@muster/ports/transit";
import type { Vault } from "@muster/ports/vault";
import { FleetError } from "@muster/protocol/errors";
import { type Difference, differenceOf, knownOf, overview } from "./vault-pieces.ts";
import { type Piece, STAGES, vaultPlan } from "./vault-plan.ts";
import { TRANSIT_KEYS, type TransitKey, type Wished } from "./vault-roles.ts";

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

export type SetUp = Wished & { readonly audit_file: string };

/** Errors: VAULT_DENIED for a token that may not do all this, CONFLICT where something of another owner is in the place. */
export async function setUpVault(
  vault: Vault,
  fleet: string,
  options: SetUp,
  changes: Changes,
): Promise<VaultMade> {
  const { audit_file, ...wished } = options;
  const plan = vaultPlan(fleet, audit_file);
  for (const stage of STAGES) {
    const pieces = plan.filter((piece) => stage.includes(piece.kind));
    const differences = await differencesOf(vault, fleet, plan, wished, pieces);
    const foreign = differences.find((difference) => difference.state === "conflict");
    if (foreign !== undefined) throw new FleetError("CONFLICT", foreign.why ?? foreign.name);
    const works = differences.map((difference) => () => mend(vault, difference, changes));
    const made = await (stage === STAGES[0] ? inTurn(works) : Promise.all(works.map((work) => work())));
    changes.made.push(...differences.filter((_, at) => made[at]).map((difference) => difference.name));
  }
  return readMade(vault);
}

/** What is not as the plan says; `pieces`: only of these. */
export async function differencesOf(
  vault: Vault,
  fleet: string,
  plan: readonly Piece[],
  wished: Wished,
  pieces: readonly Piece[] = plan,
): Promise<Difference[]> {
  const seen = await overview(vault);
  const known = await knownOf(vault, fleet, seen, plan, wished);
  const looked = await Promise.all(pieces.map((piece) => differenceOf(vault, piece, seen, known)));
  return looked.filter((difference) => difference !== null);
}

/** Vault 1.21 answers "internal error" to some of several mounts that are made at once. */
async function inTurn<T>(works: readonly (() => Promise<T>)[]): Promise<T[]> {
  const results: T[] = [];
  for (const work of works) results.push(await work());
  return results;
}

const BY_CONFIGURATION = /declarative/;
/** What OpenBao needs in the file of each server. */
export const auditConfiguration =
  'audit "file" "file" { options = { file_path = "/var/log/openbao/audit.log" } }, then a restart';

/** True when it is right now. */
async function mend(vault: Vault, difference: Difference, changes: Changes): Promise<boolean> {
  const { write } = difference;
  if (write === null) return false;
  try {
    await vault.write(write.path, write.body);
    return true;
  } catch (error) {
    // Answers are given only after they are written to the audit file, so a full disk stops Vault: said in the runbook.
    const is_refusal =
      error instanceof FleetError && (error.code === "VAULT_REFUSED" || error.code === "VAULT_DENIED");
    if (difference.kind !== "audit" || !is_refusal) throw error;
    changes.warnings.push(
      BY_CONFIGURATION.test(error.detail)
        ? `there is no audit log: OpenBao takes it from its configuration only, ${auditConfiguration}`
        : `Vault keeps no audit log, since it cannot write it (${error.detail}); give another place with --audit-file`,
    );
    return false;
  }
}

async function readMade(vault: Vault): Promise<VaultMade> {
  const [raw, operators, controllers, services, identity, host, user] = await Promise.all([
    Promise.all(TRANSIT_KEYS.map((key) => transit(vault).publicKey(key))),
    pki(vault).caCertificate("operators"),
    pki(vault).caCertificate("controllers"),
    pki(vault).caCertificate("services"),
    pki(vault).caCertificate("identity-ca"),
    sshCa(vault).caPublicKey("ssh-host"),
    sshCa(vault).caPublicKey("ssh-user"),
  ]);
  const keys = Object.fromEntries(TRANSIT_KEYS.map((key, at) => [key, raw[at]]));
  return {
    keys: keys as Record<TransitKey, Uint8Array>,
    ca: { operators, controllers, services, identity },
    ssh: { host, user },
  };
}
