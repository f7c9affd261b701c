/**
 * A private real Vault on loopback: TLS, storage on disk, initialised and unsealed with one key. No development mode.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openVault, type Vault } from "@muster/ports/vault";
import * as z from "zod";
import { binary } from "./binaries.ts";
import { type Child, freePort, startChild, temporaryDirectory } from "./child.ts";
import { loopbackTls } from "./tls.ts";

export interface VaultServer {
  readonly address: string;
  readonly ca_pem: string;
  readonly directory: string;
  readonly root_token: string;
  /** A port under the root token, alive as long as the server's own lifetime. */
  readonly root: Vault;
  output(): string;
  signal(name: NodeJS.Signals): void;
  seal(): Promise<void>;
  unseal(): Promise<void>;
  /** Ends the process; `start` brings it back on the same port, sealed. */
  halt(name?: NodeJS.Signals): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

const Init = z.object({ keys_base64: z.array(z.string()).min(1), root_token: z.string() });

/** `signal` ends the ports that come with it, not the server: call `stop`. */
export async function startVault(
  signal: AbortSignal,
  options: { host?: string; program?: string } = {},
): Promise<VaultServer> {
  const path = options.program ?? (await binary("vault"));
  const { path: directory, release } = await temporaryDirectory("vault");
  const host = options.host ?? "127.0.0.1";
  const shown = host.includes(":") ? `[${host}]` : host;
  const port = await freePort(host);
  const cluster_port = await freePort(host);
  const tls = await loopbackTls(directory);
  const data = join(directory, "data");
  await mkdir(data, { mode: 0o700 });
  const config = {
    ui: false,
    disable_mlock: true,
    api_addr: `https://${shown}:${port}`,
    cluster_addr: `https://${shown}:${cluster_port}`,
    storage: { raft: { path: data, node_id: "test", performance_multiplier: "1" } },
    listener: {
      tcp: {
        address: `${shown}:${port}`,
        cluster_address: `${shown}:${cluster_port}`,
        tls_cert_file: tls.certificate_file,
        tls_key_file: tls.key_file,
      },
    },
  };
  const config_file = join(directory, "vault.json");
  await writeFile(config_file, JSON.stringify(config), { mode: 0o600 });

  const address = `https://${shown}:${port}`;
  const open = openVault(
    { addresses: [address], ca_pem: tls.ca.certificate_pem, timeout_ms: 10_000 },
    signal,
  );
  let child: Child | undefined;
  const start = async (): Promise<void> => {
    const started = startChild(path, ["server", "-config", config_file], { HOME: directory });
    child = started;
    await started.until(() =>
      open.health().then(
        () => true,
        () => false,
      ),
    );
  };
  await start();
  const init = await open.write("sys/init", { secret_shares: 1, secret_threshold: 1 }, Init);
  const unseal = async (): Promise<void> => {
    await open.write("sys/unseal", { key: init.keys_base64[0] });
    await child?.until(async () => {
      const health = await open.health();
      return !health.sealed && !health.standby;
    });
  };
  await unseal();
  const root = open.withToken(init.root_token);
  return {
    address,
    ca_pem: tls.ca.certificate_pem,
    directory,
    root_token: init.root_token,
    root,
    output: () => child?.output() ?? "",
    signal: (name) => child?.signal(name),
    seal: async () => void (await root.write("sys/seal", {})),
    unseal,
    halt: async (name) => {
      await child?.stop(name);
      child = undefined;
    },
    start,
    async stop() {
      await child?.stop("SIGKILL");
      await release();
    },
  };
}
