/**
 * The lab's Vault from nothing to open: TLS of its own CA, storage on disk, initialised and unsealed. The root token is kept
 * in the lab's state; the unseal key lies on the hub (0600), whose unit opens Vault again at every start.
 */
import { fileURLToPath } from "node:url";
import { must } from "./command.mjs";
import { SetupError } from "./errors.mjs";
import { emptyVault, openVault, startService, vaultStatus } from "./hub.mjs";

const TLS = fileURLToPath(new URL("vault-tls.ts", import.meta.url));

/** Files of the lab's state. */
export const ROOT_TOKEN = "vault-root-token";
export const VAULT_CA = "vault-ca.pem";
const TLS_FILE = "vault-tls-and-config.json";
/** What `ctl init` writes when the fleet is made. */
const FLEET_STATE = "fleet/fleet.json";

/**
 * Runs Vault on the hub and opens it. Needs the installed packages (the certificate's making).
 * @param {import("./servers.mjs").Server} hub
 * @param {import("./state.mjs").State} state
 * @returns {Promise<{ changed: boolean }>} whether anything was done
 */
export async function startVault(hub, state) {
  if (hub.ipv4 === undefined) throw new Error("the hub has both address families");
  const tls = await certificate(["hub", "localhost", hub.ipv4, hub.ipv6, "127.0.0.1", "::1"], state);
  const { changed } = await startService(hub, "vault", {
    files: {
      "vault.hcl": tls.config,
      "ca.crt": tls.ca,
      "tls.crt": tls.certificate,
      "tls.key": tls.key,
    },
  });
  // A run that was cut off between Vault's answer and its writing down leaves a Vault whose keys nobody has. Nothing was made in it.
  const lost = state.read(ROOT_TOKEN) === undefined && state.read(FLEET_STATE) === undefined;
  if (lost && (await vaultStatus(hub)).initialized) await emptyVault(hub);
  const { root_token } = await openVault(hub);
  if (root_token !== undefined) state.write(ROOT_TOKEN, root_token);
  if (state.read(ROOT_TOKEN) === undefined)
    throw new SetupError(`Vault is initialised, but ${state.path(ROOT_TOKEN)} is not there`);
  return { changed: changed || root_token !== undefined };
}

/**
 * Where Vault is for this machine and for the servers: by address, since this machine has no name for the hub.
 * @param {import("./servers.mjs").Server} hub
 */
export function vaultAddresses(hub) {
  return [`https://${hub.ipv4}:8200`, `https://[${hub.ipv6}]:8200`];
}

/**
 * @param {string[]} names
 * @param {import("./state.mjs").State} state
 * @returns {Promise<{ ca: string, certificate: string, key: string, config: string }>}
 */
async function certificate(names, state) {
  const kept = state.read(TLS_FILE);
  if (kept !== undefined) return JSON.parse(kept);
  const { stdout } = await must(process.execPath, ["--import", "tsx", TLS, ...names], {
    cwd: fileURLToPath(new URL("../..", import.meta.url)),
  });
  const made = JSON.parse(stdout);
  state.write(VAULT_CA, made.ca.trim());
  state.write(TLS_FILE, stdout);
  return made;
}
