/**
 * One backup of the first server, while all of it runs: Vault's storage (which Vault itself keeps encrypted), every stream, and what `ctl init` knows in
 * public. Sealed to the recovery kit: nothing in it can be read without the kit's passphrase, not even here.
 */
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openVault, type Vault } from "@muster/ports/vault";
import { FleetError } from "@muster/protocol/errors";
import { STREAMS } from "@muster/protocol/streams";
import { issuedAt } from "../fleet/accounts.ts";
import { BROKER_STORE } from "../fleet/broker-config.ts";
import { connectSetUp, newestTrust } from "../fleet/broker-setup.ts";
import { newerBundle } from "../fleet/bundle.ts";
import { readText } from "../fleet/disk.ts";
import { LOCAL_BROKER } from "../fleet/make.ts";
import { loadState, type MadeFleet } from "../fleet/state.ts";
import { withNext } from "../output/error.ts";
import { CONFIG_ROOT } from "../server/make.ts";
import { runProgram } from "../server/run.ts";
import { keysOnDisk, OWN_VAULT } from "../server/vault.ts";
import { VAULT_DIRECTORY } from "../server/vault-config.ts";
import { sealArchive } from "./archive.ts";
import type { Contents } from "./contents.ts";
import { backupName, type Place } from "./place.ts";
import { copyStream, type StreamForm } from "./streams.ts";

export const WORK_DIRECTORY = "/var/lib/muster/backup";
const PROGRAM_MS = 600_000;

export type Made = { readonly name: string; readonly size_bytes: number; readonly at: number };

/** Errors: UNSUPPORTED where this is not the first server, VAULT_*, BUS_*, FAILED with what refused. */
export async function makeBackup(
  place: Place,
  keep: number,
  host: string,
  now: () => number,
  signal: AbortSignal,
): Promise<Made> {
  const state = await loadState(CONFIG_ROOT);
  const secret = await readText(join(CONFIG_ROOT, "backup", "secret_id"));
  if (state === null || secret === null || state.backup_key === null) {
    throw withNext(
      new FleetError(
        "UNSUPPORTED",
        "backups are made on the first server, as root, where ctl init made Vault",
      ),
      "the ctl init line again makes what is missing",
    );
  }
  const at = now();
  const name = backupName(state.fleet, at);
  await rm(WORK_DIRECTORY, { recursive: true, force: true });
  await mkdir(join(WORK_DIRECTORY, "content", "streams"), { recursive: true, mode: 0o700 });
  try {
    await gather(state, secret.trim(), { at, host }, now, signal);
    const tar = join(WORK_DIRECTORY, "content.tar");
    await mustRun("tar", ["-C", join(WORK_DIRECTORY, "content"), "-cf", tar, "."], {}, signal);
    const sealed = join(WORK_DIRECTORY, name);
    const size_bytes = await sealArchive(tar, sealed, { fleet: state.fleet, at, reader: state.backup_key });
    await place.put(sealed, name);
    const all = await place.list(state.fleet);
    if (!all.includes(name))
      throw new FleetError("FAILED", `${place.text} took ${name} and does not show it`);
    for (const old of all.slice(0, -keep)) await place.remove(old);
    return { name, size_bytes, at };
  } finally {
    await rm(WORK_DIRECTORY, { recursive: true, force: true });
  }
}

async function gather(
  state: MadeFleet,
  secret_id: string,
  what: { at: number; host: string },
  now: () => number,
  signal: AbortSignal,
): Promise<void> {
  const content = join(WORK_DIRECTORY, "content");
  const ca = join(VAULT_DIRECTORY, "ca.crt");
  const role_id = ((await readText(join(CONFIG_ROOT, "backup", "role_id"))) ?? "").trim();
  const open = openVault({ addresses: [OWN_VAULT], ca_pem: (await readText(ca)) ?? "" }, signal);
  const vault = await open.loginAppRole(role_id, secret_id);
  await vaultCommand(vault, ["operator", "raft", "snapshot", "save", join(content, "vault.snap")], signal);
  const { bus, inbox } = await connectSetUp(state, [LOCAL_BROKER], vault, now(), signal);
  const streams: Record<string, StreamForm> = {};
  let { bundle } = state;
  try {
    // An admin may have signed a newer one since: what it revokes has to stay revoked.
    bundle = newerBundle(bundle, await newestTrust(bus));
    for (const { name } of STREAMS) {
      const form = await copyStream(bus, inbox, name, join(content, "streams", name));
      if (form !== null) streams[name] = form;
    }
  } finally {
    await bus.close();
  }
  const contents: Contents = {
    v: 1,
    fleet: state.fleet,
    at: what.at,
    host: what.host,
    unseal: (await keysOnDisk()) === null ? "manual" : "auto",
    state: { ...state, bundle, account_jwts: await newestJwts(state.account_jwts) },
    streams,
  };
  await writeFile(join(content, "contents.json"), JSON.stringify(contents), { mode: 0o600 });
  await vault.revokeSelf();
}

/** The accounts as the broker here keeps them: what was revoked since `ctl init` must not come back with a restored fleet. */
async function newestJwts(known: Readonly<Record<string, string>>): Promise<Record<string, string>> {
  const newest = Object.entries(known).map(async ([key, jwt]) => {
    const held = (await readText(join(BROKER_STORE, "jwt", `${key}.jwt`)))?.trim();
    return [key, held !== undefined && issuedAt(held) > issuedAt(jwt) ? held : jwt] as const;
  });
  return Object.fromEntries(await Promise.all(newest));
}

/** Vault's own program, its token in the environment of that one process. */
export async function vaultCommand(
  vault: Vault,
  args: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const env = {
    VAULT_ADDR: OWN_VAULT,
    VAULT_CACERT: join(VAULT_DIRECTORY, "ca.crt"),
    VAULT_TOKEN: vault.revealToken() ?? "",
    HOME: "/nonexistent",
  };
  await mustRun("vault", args, env, signal);
}

export async function mustRun(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<void> {
  const { code, stderr } = await runProgram(program, args, { timeout_ms: PROGRAM_MS, env }, signal);
  if (code !== 0)
    throw new FleetError("FAILED", `${program} ${args.slice(0, 4).join(" ")}: ${stderr.trim().slice(-500)}`);
}
