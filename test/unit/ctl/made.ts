/** A whole fleet as `ctl init` makes it: a real Vault, and a real nats-server with the configuration that was written. */
import { readFile, writeFile } from "node:fs/promises";
import { createConnection } from "node:net";
import { join } from "node:path";
import { openLog } from "@muster/ports/log";

import { readConfig, runController } from "../../../packages/controller/src/index.ts";
import { binary } from "../../kit/binaries.ts";
import { type Child, freePort, startChild, temporaryDirectory } from "../../kit/child.ts";
import { startVault, type VaultServer } from "../../kit/vault.ts";
import { ctl, type Ran } from "./terminal.ts";

export type Made = {
  readonly vault: VaultServer;
  readonly directory: string;
  readonly home: string;
  readonly out: string;
  readonly address: string;
  init(extra?: readonly string[], fleet?: string): Promise<Ran>;
  startBroker(): Promise<void>;
  /** `startBroker` brings it back, with what it stores. */
  stopBroker(): Promise<void>;
  /** A real controller with the files that were written; resolves when it answers. Ends with the signal. */
  startController(signal: AbortSignal): Promise<void>;
  stop(): Promise<void>;
};

export const PASSWORD = "correct horse battery";
export const PASSPHRASE = "a long passphrase for the kit";

/** Vault runs; nothing of a fleet is there yet. */
export async function emptyGround(signal: AbortSignal): Promise<Made> {
  const vault = await startVault(signal);
  const { path: directory, release } = await temporaryDirectory("ctl");
  const port = await freePort("127.0.0.1");
  const file = async (name: string, text: string) => {
    const path = join(directory, name);
    await writeFile(path, text, { mode: 0o600 });
    return path;
  };
  const vault_ca = await file("vault-ca.pem", vault.ca_pem);
  const token = await file("token", `${vault.root_token}\n`);
  const password = await file("password", `${PASSWORD}\n`);
  const passphrase = await file("passphrase", `${PASSPHRASE}\n`);
  const home = join(directory, "home");
  const out = join(directory, "out");
  const address = `127.0.0.1:${port}`;
  let broker: Child | undefined;
  return {
    vault,
    directory,
    home,
    out,
    address,
    init: (extra = [], fleet = "lab") =>
      ctl(
        [
          ...[
            "init",
            fleet,
            "--address",
            address,
            "--address",
            `localhost:${port}`,
            "--vault",
            vault.address,
          ],
          ...[
            "--vault-ca",
            vault_ca,
            "--vault-token-file",
            token,
            "--admin",
            "alice",
            "--password-file",
            password,
          ],
          ...["--out", out, "--kit-file", join(directory, "lab.kit"), "--passphrase-file", passphrase],
          ...["--audit-file", join(directory, "audit.log"), ...extra],
        ],
        { home },
      ),
    async startBroker() {
      const text = await readFile(join(out, "nats/nats-server.conf"), "utf8");
      const here = text
        .replaceAll("/etc/muster/nats", join(out, "nats"))
        .replaceAll("/var/lib/muster-nats", join(directory, "store"));
      const config = await file("nats.conf", here);
      const started = startChild(await binary("nats-server"), ["-c", config]);
      broker = started;
      await started.until(() => accepts(port));
    },
    stopBroker: async () => broker?.stop(),
    async startController(life) {
      const text = await readFile(join(out, "controller/config.json"), "utf8");
      const config = await file(
        "controller.json",
        text.replaceAll("/etc/muster/controller", join(out, "controller")),
      );
      const log = openLog({ name: "controller", level: "silent" });
      await new Promise<void>((resolve, reject) => {
        const status = { say: () => undefined, ready: () => resolve(), stopping: () => undefined };
        readConfig(config)
          .then((read) => runController(read, { log, status, now: Date.now }, life))
          .then(resolve, reject);
      });
    },
    async stop() {
      await broker?.stop();
      await vault.stop();
      await release();
    },
  };
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host: "127.0.0.1", port });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
