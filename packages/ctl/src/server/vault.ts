/**
 * The fleet's own Vault on this machine: configured, with TLS of a CA of its own, initialised, open. A root token is made where it is needed and ends with
 * the command; what lasts is the one unseal key, on this machine (0600) or, with `--unseal manual`, in the recovery kit only.
 */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { makeCa } from "@muster/ports/csr";
import { openVault, type Vault, type VaultHealth } from "@muster/ports/vault";
import { FleetError } from "@muster/protocol/errors";
import { z } from "zod";
import { readText, writeText } from "../fleet/disk.ts";
import type { Changes } from "../fleet/vault-setup.ts";
import { withNext } from "../output/error.ts";
import { giveTo } from "./owner.ts";
import { VAULT } from "./ready.ts";
import { keepRunning, stopUnit } from "./units.ts";
import { VAULT_DIRECTORY, VAULT_STORE, vaultConfig } from "./vault-config.ts";
import { issueFor, namesOf, stillFits, VAULT_TLS_LIFE_MS } from "./vault-tls.ts";

const START_MS = 30_000;
const OPEN_MS = 30_000;
const POLL_MS = 100;
export const OWN_VAULT = "https://localhost:8200";
export const UNSEAL_KEY = join(VAULT_DIRECTORY, "unseal.key");
/** There while Vault is asked to initialise itself. */
const BEGUN = join(VAULT_DIRECTORY, "initialising");
const CA_FILE = join(VAULT_DIRECTORY, "ca.crt");

export type Unseal = "auto" | "manual";

export type OwnVault = {
  /** With a root token, which ends with `revokeSelf`. */
  readonly vault: Vault;
  readonly ca_pem: string;
  /** What opens it: secret. */
  readonly keys: readonly string[];
  readonly unseal: Unseal;
};

/**
 * Makes it, or finds and opens it. `kept`: the keys in the recovery kit, asked for only when they are not on this machine.
 * Errors: FAILED when it does not run, NOT_ALLOWED when nobody has its keys.
 */
export async function ownVault(
  hosts: readonly string[],
  wanted: Unseal | undefined,
  kept: () => Promise<readonly string[]>,
  changes: Changes,
  signal: AbortSignal,
): Promise<OwnVault> {
  const ca_pem = await runVault(hosts, changes, signal);
  const vault = openVault({ addresses: [OWN_VAULT], ca_pem, timeout_ms: 30_000 }, signal);
  let health = await until(vault, () => true, START_MS, signal);
  if (health.initialized && (await keysOnDisk()) === null && (await readText(BEGUN)) !== null) {
    // Cut off before Vault's answer was written down: nobody has its key, and nothing was put into it.
    await emptyVault(signal);
    health = await until(vault, () => true, START_MS, signal);
  }
  if (!health.initialized) {
    await writeText(BEGUN, "");
    const made = await vault.write("sys/init", { secret_shares: 1, secret_threshold: 1 }, Initialised);
    // At once: nobody else knows them. With `manual` they go when the kit has them.
    await writeText(UNSEAL_KEY, made.keys_base64.map((key) => `${key}\n`).join(""));
    await rm(BEGUN);
    await giveTo(VAULT.user, VAULT_DIRECTORY, signal);
    changes.made.push("Vault");
    await openWith(vault, made.keys_base64, signal);
    return {
      vault: vault.withToken(made.root_token),
      ca_pem,
      keys: made.keys_base64,
      unseal: wanted ?? "auto",
    };
  }
  const on_disk = await keysOnDisk();
  const keys = on_disk ?? (await kept());
  if (keys.length === 0) {
    throw withNext(
      new FleetError("NOT_ALLOWED", `this Vault's key is neither in ${UNSEAL_KEY} nor in the recovery kit`),
      `give the right kit with --kit-file; or, when nothing is in it yet: systemctl stop vault; rm -r ${VAULT_STORE}/*; and the same line again`,
    );
  }
  if (health.sealed) {
    await openWith(vault, keys, signal);
    changes.made.push("Vault opened");
  }
  const unseal = wanted ?? (on_disk === null ? "manual" : "auto");
  if (unseal === "auto" && on_disk === null) {
    await writeText(UNSEAL_KEY, keys.map((key) => `${key}\n`).join(""));
    await giveTo(VAULT.user, VAULT_DIRECTORY, signal);
    changes.made.push("Vault opens itself");
  }
  return { vault: vault.withToken(await rootToken(vault, keys)), ca_pem, keys, unseal };
}

/**
 * An empty Vault here becomes the one that a snapshot was taken of: `bring` has Vault take it in. From then on its own keys open it.
 * Errors: CONFLICT for a Vault that is in use.
 */
export async function replaceVault(
  hosts: readonly string[],
  keys: readonly string[],
  bring: (vault: Vault) => Promise<void>,
  changes: Changes,
  signal: AbortSignal,
): Promise<void> {
  const made = await ownVault(hosts, "auto", async () => [], changes, signal);
  await bring(made.vault);
  // It seals itself a moment after it has taken the snapshot in.
  await until(made.vault, (health) => health.sealed, OPEN_MS, signal);
  await openWith(made.vault, keys, signal);
  await writeText(UNSEAL_KEY, keys.map((key) => `${key}\n`).join(""));
  await giveTo(VAULT.user, VAULT_DIRECTORY, signal);
  changes.made.push("Vault's content");
}

/** With `manual`, once the kit has them, the keys leave this machine. */
export async function forgetKeys(changes: Changes): Promise<void> {
  if ((await readText(UNSEAL_KEY)) === null) return;
  await rm(UNSEAL_KEY);
  changes.made.push("Vault waits for you at boot");
}

export async function keysOnDisk(): Promise<string[] | null> {
  const keys = (await readText(UNSEAL_KEY))?.split("\n").filter(Boolean) ?? [];
  return keys.length === 0 ? null : keys;
}

/** Configuration and certificate in place, and the service running with them. */
async function runVault(hosts: readonly string[], changes: Changes, signal: AbortSignal): Promise<string> {
  const names = namesOf(hosts);
  const files = {
    "vault.hcl": vaultConfig(hosts[0] ?? "localhost"),
    ...(await certificateFor(names)),
  };
  for (const [name, text] of Object.entries(files)) {
    const path = join(VAULT_DIRECTORY, name);
    if ((await readText(path)) === text) continue;
    await writeText(path, text);
    changes.made.push(`vault/${name}`);
  }
  await giveTo(VAULT.user, VAULT_DIRECTORY, signal);
  const watched = ["vault.hcl", "tls.crt"].map((name) => join(VAULT_DIRECTORY, name));
  if (await keepRunning(VAULT.unit, watched, START_MS, signal)) changes.made.push(VAULT.unit);
  return (await readText(CA_FILE)) ?? "";
}

async function emptyVault(signal: AbortSignal): Promise<void> {
  await stopUnit(VAULT.unit, signal);
  for (const name of await readdir(VAULT_STORE)) await rm(join(VAULT_STORE, name), { recursive: true });
  await keepRunning(VAULT.unit, [], START_MS, signal);
}

/** New files, or none while the certificate that is there will do. The CA's key is thrown away: nothing else is ever signed with it. */
async function certificateFor(names: readonly string[]): Promise<Record<string, string>> {
  const held = await readText(join(VAULT_DIRECTORY, "tls.crt"));
  if (held !== null && (await readText(CA_FILE)) !== null && stillFits(held, names, Date.now())) return {};
  const not_after = Date.now() + VAULT_TLS_LIFE_MS;
  const ca = await makeCa({ common_name: "Vault of the fleet", not_after });
  const issued = await issueFor(ca, names, not_after);
  return {
    "tls.key": issued.private_pem,
    "ca.crt": ca.certificate_pem,
    "tls.crt": issued.certificate_pem,
  };
}

const Initialised = z.object({ keys_base64: z.array(z.string()).min(1), root_token: z.string() });
const Unsealed = z.object({ sealed: z.boolean() });

/** Opens a sealed Vault. Errors: NOT_ALLOWED when the keys are another Vault's. */
export async function unsealWith(vault: Vault, keys: readonly string[]): Promise<void> {
  let sealed = true;
  for (const key of keys) ({ sealed } = await vault.write("sys/unseal", { key }, Unsealed));
  if (sealed) throw new FleetError("NOT_ALLOWED", "the keys do not open this Vault");
}

async function openWith(vault: Vault, keys: readonly string[], signal: AbortSignal): Promise<void> {
  await unsealWith(vault, keys);
  await until(vault, (health) => !health.sealed && !health.standby, OPEN_MS, signal);
}

async function until(
  vault: Vault,
  good: (health: VaultHealth) => boolean,
  limit_ms: number,
  signal: AbortSignal,
): Promise<VaultHealth> {
  const deadline = performance.now() + limit_ms;
  for (;;) {
    try {
      const health = await vault.health();
      if (good(health)) return health;
      if (performance.now() > deadline) throw new FleetError("FAILED", "Vault does not open");
    } catch (error) {
      const waits = error instanceof FleetError && error.retryable;
      if (!waits || performance.now() > deadline) throw error;
    }
    await sleep(POLL_MS, undefined, { signal });
  }
}

const Attempt = z.object({ started: z.boolean(), nonce: z.string(), otp: z.string().default("") });
const Generated = z.object({ complete: z.boolean(), encoded_token: z.string().default("") });

/** A new root token by the unseal keys: what Vault sends is masked with a pad that only who began has. API: /sys/generate-root. */
async function rootToken(vault: Vault, keys: readonly string[]): Promise<string> {
  const path = "sys/generate-root/attempt";
  if ((await vault.read(path, Attempt)).started) await vault.remove(path);
  const { nonce, otp } = await vault.write(path, {}, Attempt);
  let encoded = "";
  for (const key of keys)
    ({ encoded_token: encoded } = await vault.write("sys/generate-root/update", { key, nonce }, Generated));
  const pad = Buffer.from(otp);
  const token = Buffer.from(encoded, "base64").map((byte, at) => byte ^ (pad[at] ?? 0));
  return Buffer.from(token).toString();
}
