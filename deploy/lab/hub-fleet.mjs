/**
 * Makes the fleet on the lab's hub, as a person does with `ctl init`: keys and policies in Vault, the broker's and the
 * controller's configuration, streams and the first trust bundle; then logs the first person in.
 */
import { join } from "node:path";
import { ctl, ctlJson, mustCtl } from "./ctl.mjs";
import { readDirectory, startService } from "./hub.mjs";
import { ROOT_TOKEN, VAULT_CA, vaultAddresses } from "./hub-vault.mjs";

/** The first person of the fleet: admin and operator in one. */
export const ADMIN = "alice";
/** Files of the lab's state. */
export const PASSWORD = "alice-password";
export const PASSPHRASE = "kit-passphrase";
export const KIT = "recovery.kit";
const OUT = "fleet";

/**
 * @typedef {object} HubFleet
 * @property {string} name of the fleet
 * @property {import("./servers.mjs").Server} hub with an open Vault
 * @property {import("./state.mjs").State} state
 * @property {import("./ctl.mjs").Operator} operator
 */

/**
 * Makes the fleet, or finishes making it, and runs broker and controller.
 * @param {HubFleet} fleet
 * @param {(text: string) => void} note what is being done
 * @returns {Promise<{ changed: boolean, fleet_string: string }>} `fleet_string`: how others find the fleet and prove it
 */
export async function makeFleet({ name, hub, state, operator }, note) {
  note("keys, roles and policies");
  state.secret(PASSWORD);
  state.secret(PASSPHRASE);
  const addresses = brokerAddresses(hub);
  const init = () =>
    ctlJson(operator, [
      ...["init", name, ...addresses.flatMap((address) => ["--address", address])],
      ...["--vault", vaultAddresses(hub)[1] ?? "", "--vault-ca", state.path(VAULT_CA)],
      ...["--vault-token-file", state.path(ROOT_TOKEN), "--audit-file", "/var/lib/muster-vault/audit.log"],
      ...["--admin", ADMIN, "--password-file", state.path(PASSWORD), "--out", state.path(OUT)],
      ...["--kit-file", state.path(KIT), "--passphrase-file", state.path(PASSPHRASE)],
      ...["--controller-cidr", `${hub.ipv4}/32`, "--controller-cidr", `${hub.ipv6}/128`],
    ]);
  let made = await init();
  let changed = made.changed.length > 0;
  const deliver = async (/** @type {"broker" | "controller"} */ service, /** @type {string} */ directory) => {
    const files = readDirectory(state.path(join(OUT, directory)));
    const program =
      service === "controller"
        ? {
            program: join(operator.root, "dist", "controller.cjs"),
            page: join(operator.root, "dist", "dashboard"),
          }
        : {};
    const delivered = await startService(hub, service, { files, ...program });
    changed ||= delivered.changed;
    return delivered.changed;
  };
  note("the broker");
  if ((await deliver("broker", "nats")) || made.broker !== "running") {
    made = await init();
    changed ||= made.changed.length > 0;
  }
  note("the controller");
  await deliver("controller", "controller");
  return { changed, fleet_string: made.fleet_string };
}

/**
 * Logs the admin in for eight hours, if no log-in holds.
 * @param {HubFleet} fleet
 * @param {string} fleet_string
 * @returns {Promise<{ changed: boolean }>}
 */
export async function logIn({ name, state, operator }, fleet_string) {
  const known = await ctl(operator, ["whoami", "--fleet", name, "--json"]);
  if (known.code === 0 && endsIn(known.stdout) > 3_600_000) return { changed: false };
  await mustCtl(operator, [
    ...["login", `${ADMIN}@${fleet_string}`, "--password-file", state.path(PASSWORD)],
  ]);
  return { changed: true };
}

/**
 * Both addresses of the hub, as servers and people reach the broker.
 * @param {import("./servers.mjs").Server} hub
 */
export function brokerAddresses(hub) {
  return [`${hub.ipv4}`, `[${hub.ipv6}]`];
}

/** @param {string} whoami */
function endsIn(whoami) {
  const { ends, valid } = JSON.parse(whoami);
  return valid === false || typeof ends !== "number" ? 0 : ends - Date.now();
}
