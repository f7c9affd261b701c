/** The controller's log-in at Vault: AppRole with a secret from its own file, kept alive for as long as the controller lives. */
import type { Log } from "@muster/ports/log";
import { openVault, type Vault } from "@muster/ports/vault";
import { type ControllerConfig, readSecret, readText } from "./config.ts";
import { untilDone } from "./retry.ts";
import type { Status } from "./status.ts";

/** Waits for Vault as long as it takes and says so. The result stays logged in until the signal aborts. Errors: CONFIG, CANCELLED. */
export async function logIn(
  config: ControllerConfig,
  ports: { log: Log; status: Status },
  signal: AbortSignal,
): Promise<Vault> {
  const ca_pem = await readText(config.vault.ca);
  // Both files are read at each log-in: an operator may have replaced them.
  await Promise.all([readText(config.vault.role_id), readSecret(config.vault.secret_id)]);
  const server = openVault({ addresses: config.vault.addresses, ca_pem }, signal);
  const login = async (): Promise<Vault> => {
    const [role_id, secret_id] = await Promise.all([
      readText(config.vault.role_id),
      readSecret(config.vault.secret_id),
    ]);
    return server.loginAppRole(role_id, secret_id);
  };
  ports.status.say("logging in to Vault");
  const vault = await untilDone(
    login,
    (error) => ports.status.say(`waiting for Vault: ${error.message}`),
    signal,
  );
  const report: Parameters<Vault["keepToken"]>[0]["report"] = (event) => {
    if (event.type === "failed")
      ports.log.warn({ err: event.error, failures: event.failures }, "Vault log-in");
  };
  void vault.keepToken({ login, report }, signal);
  return vault;
}
