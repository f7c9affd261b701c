/**
 * Several real Vault servers on loopback, from the files that `ctl vault layout` writes: each has an address of its own below 127/8, so that the ports and
 * everything else but paths stay as they are on machines of their own.
 */
import { randomInt } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openVault } from "@muster/ports/vault";
import { FleetError } from "@muster/protocol/errors";
import { type Child, startChild } from "./child.ts";

export interface VaultNodes {
  /** How others reach it. */
  host(name: string): string;
  address(name: string): string;
  /** What is put to /etc/muster/vault on a machine of its own. */
  directory(name: string): string;
  /** Resolves when it answers, whatever it says. */
  start(name: string): Promise<void>;
  stop(name: string, signal?: NodeJS.Signals): Promise<void>;
  signal(name: string, signal: NodeJS.Signals): void;
  /** Its store as on a machine that was never used. */
  empty(name: string): Promise<void>;
  output(name: string): string;
  stopAll(): Promise<void>;
}

/** Addresses for `names` that nobody else on this machine uses, most likely. */
export function loopbackHosts(names: readonly string[]): Record<string, string> {
  const net = `127.${randomInt(16, 240)}.${randomInt(1, 250)}`;
  return Object.fromEntries(names.map((name, at) => [name, `${net}.${at + 1}`]));
}

/**
 * @param program path of `vault` or `bao`
 * @param directory where the servers' directories are or will be, and their stores
 */
export function vaultNodes(
  program: string,
  directory: string,
  hosts: Readonly<Record<string, string>>,
  life: AbortSignal,
): VaultNodes {
  const children = new Map<string, Child>();
  const host = (name: string) => hosts[name] ?? "";
  const address = (name: string) => `https://${host(name)}:8200`;
  const own = (name: string) => join(directory, name);
  const store = (name: string) => join(directory, `store-${name}`);
  return {
    host,
    address,
    directory: own,
    async start(name) {
      const config = (await readFile(join(own(name), "vault.hcl"), "utf8"))
        .replaceAll("/etc/muster/vault", own(name))
        .replaceAll("/var/lib/muster-vault", store(name))
        .replaceAll('"[::]:', `"${host(name)}:`);
      await mkdir(store(name), { recursive: true, mode: 0o700 });
      const file = join(directory, `${name}.hcl`);
      await writeFile(file, config, { mode: 0o600 });
      const ca_pem = await readFile(join(own(name), "ca.crt"), "utf8");
      const open = openVault({ addresses: [address(name)], ca_pem, timeout_ms: 2_000 }, life);
      const child = startChild(program, ["server", "-config", file], { HOME: directory });
      children.set(name, child);
      await child.until(async () => !((await open.nodes())[0]?.health instanceof FleetError));
    },
    async stop(name, signal = "SIGINT") {
      await children.get(name)?.stop(signal);
      children.delete(name);
    },
    signal: (name, signal) => children.get(name)?.signal(signal),
    empty: (name) => rm(store(name), { recursive: true, force: true, maxRetries: 10, retryDelay: 100 }),
    output: (name) => children.get(name)?.output() ?? "",
    async stopAll() {
      await Promise.all([...children.values()].map((child) => child.stop("SIGKILL")));
    },
  };
}
