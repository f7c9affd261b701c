/**
 * From nothing to the example fleet, running: the one way in which the demo and the end-to-end tests come to their servers. Every
 * step looks first and does only what is missing, so that a run that was cut off anywhere is finished by the next.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ctl, ctlJson, mustCtl, profileDirectory, readProfile } from "./ctl.mjs";
import { docker } from "./docker.mjs";
import { SetupError } from "./errors.mjs";
import { prepare, startFleet } from "./fleet.mjs";
import { logIn, makeFleet } from "./hub-fleet.mjs";
import { startVault } from "./hub-vault.mjs";
import { ensureImages } from "./images.mjs";
import { startManaged } from "./managed.mjs";
import { removeLab } from "./servers.mjs";
import { sshAccess } from "./ssh-access.mjs";
import { openState } from "./state.mjs";

/** The fleet that `inventory/` declares. */
export const FLEET = "as64500";
const HUB_ID = "hub-id";
/** BIRD waits 5 s before it dials, and after a refusal up to 30 s more. */
const SESSIONS_MS = 120_000;

/**
 * @typedef {object} Order
 * @property {string} lab
 * @property {import("./ctl.mjs").Operator} operator its `folder` is what gets applied
 * @property {import("./progress.mjs").Progress} progress
 *
 * @typedef {object} Running
 * @property {string[]} done what was done, a few words each; empty when all was there
 * @property {import("./state.mjs").State} state
 * @property {string} fleet_string
 */

/**
 * Brings the fleet up, or finds it up.
 * @param {Order} order
 * @returns {Promise<Running>}
 */
export async function bringUp(order) {
  const state = openState(order.lab);
  /** @type {string[]} */
  const done = [];
  const note = (/** @type {boolean} */ is_done, /** @type {string} */ what) => {
    if (is_done) done.push(what);
  };
  note(await startOver(order, state), "began anew");
  const machine = await prepare(order.progress);
  const { progress, operator } = order;
  const first = await startFleet(order.lab, machine, progress, { only: ["hub", "upstream"] });
  const hub = serverOf(first.servers, "hub");
  for (const server of Object.values(first.servers)) note(server.booted, `${server.name} booted`);
  state.write(HUB_ID, (await containerId(order.lab, "hub")) ?? "");

  const vault = await progress.step("Vault", { usually_s: 4 }, () => startVault(hub, state));
  const fleet = { name: FLEET, hub, state, operator };
  const { fleet_string, ...hub_fleet } = await progress.step(
    "fleet: broker and controller",
    { usually_s: 5 },
    (note) => makeFleet(fleet, note),
  );
  const login = await logIn(fleet, fleet_string);
  const ssh = await sshAccess(hub, state, operator, FLEET);
  note(vault.changed, "Vault");
  note(hub_fleet.changed, "broker and controller");
  note(login.changed, "log-in");
  note(ssh.changed, "ssh");
  done.push(...(await startManaged(order, machine, state, { fleet: FLEET, cut: hub_fleet.changed })));
  note(await ensureImages(order), "container image");
  note(await firstApply(order), "first apply");
  if (done.length > 0) await untilSessions(order);
  return { done, state, fleet_string };
}

/**
 * Removes everything of a lab: servers, network, keys, the person's knowledge of the fleet.
 * @param {Pick<Order, "lab" | "operator">} order
 * @returns {Promise<number>} servers removed
 */
export async function takeDown({ lab, operator }) {
  const state = openState(lab);
  forget(operator, state);
  const count = await removeLab(lab);
  state.clear();
  forgetLocks(operator);
  return count;
}

/**
 * Clears away what cannot be gone on with: servers whose keys are lost, keys whose servers are gone.
 * @param {Order} order
 * @param {import("./state.mjs").State} state
 * @returns {Promise<boolean>} whether there was anything to clear
 */
async function startOver(order, state) {
  const { lab, operator, progress } = order;
  const id = await containerId(lab, "hub");
  const known = state.read(HUB_ID);
  const fits = id === known;
  if (!fits) {
    progress.say(`lab ${lab}: what is there of it cannot be gone on with; it is removed and made anew`);
    await takeDown({ lab, operator });
  }
  if (!fits || id === undefined) {
    checkHome(operator);
    // Of a fleet that is gone: its names stood for other keys.
    forgetLocks(operator);
  }
  return !fits;
}

/** @param {import("./ctl.mjs").Operator} operator */
function forgetLocks({ folder }) {
  for (const name of ["hosts.lock", "images.lock"]) rmSync(join(folder, name), { force: true });
}

/**
 * A fleet of that name that is not a lab's must not be overwritten.
 * @param {import("./ctl.mjs").Operator} operator
 */
function checkHome(operator) {
  const known = readProfile(operator, FLEET);
  if (known === undefined) return;
  if (known.brokers.every((broker) => /^(10\.213\.|\[fd6d:7573:7465:)/.test(broker))) {
    rmSync(profileDirectory(operator, FLEET), { recursive: true });
    return;
  }
  throw new SetupError(
    `You have a fleet called ${FLEET} already (${known.brokers.join(", ")}), and the demo uses that name.\n` +
      "Give the demo a place of its own: MUSTER_HOME=~/.config/muster-demo npm run demo",
    { exit_code: 2 },
  );
}

/**
 * @param {import("./ctl.mjs").Operator} operator
 * @param {import("./state.mjs").State} state
 */
function forget(operator, state) {
  const own = state.read("fleet/fleet-string")?.split("#")[1];
  if (own !== undefined && readProfile(operator, FLEET)?.anchor === own)
    rmSync(profileDirectory(operator, FLEET), { recursive: true });
}

/**
 * The first apply, if no host has had one: later ones are the operator's.
 * @param {Order} order
 * @returns {Promise<boolean>} whether it was needed
 */
async function firstApply({ operator, progress }) {
  const { hosts } = await ctlJson(operator, ["status"], { good: [0, 1, 3, 4] });
  const watched = hosts.filter((/** @type {{ state: string }} */ host) => host.state === "watched");
  if (watched.length === 0) return false;
  await progress.step("first apply", { usually_s: 33 }, () =>
    mustCtl(operator, ["apply", "-y", "-m", "first light"]),
  );
  return true;
}

/**
 * Waits for BGP, and for what checks ask, after servers were booted or given their configuration. Not for ever: the table that follows says what is missing.
 * @param {Order} order
 */
async function untilSessions({ operator, progress }) {
  await progress.step("BGP sessions and checks", { usually_s: 20 }, async () => {
    const deadline = Date.now() + SESSIONS_MS;
    while (!(await sessionsUp(operator)) || (await ctl(operator, ["checks"])).code !== 0) {
      if (Date.now() > deadline) break;
      await sleep(500);
    }
  });
}

/** @param {import("./ctl.mjs").Operator} operator */
async function sessionsUp(operator) {
  if ((await ctl(operator, ["bgp"])).code !== 0) return false;
  const { hosts } = await ctlJson(operator, ["status"], { good: [0, 1, 4] });
  return hosts.every(
    (/** @type {{ sessions: { up: number, expected: number } | null }} */ { sessions }) =>
      sessions !== null && sessions.expected > 0 && sessions.up === sessions.expected,
  );
}

/**
 * @param {Record<string, import("./fleet.mjs").Started>} servers
 * @param {string} name
 */
function serverOf(servers, name) {
  const server = servers[name];
  if (server === undefined) throw new Error(`no ${name} in the layout`);
  return server;
}

/**
 * @param {string} lab
 * @param {string} name
 * @returns {Promise<string | undefined>} Docker's id of the server; it changes when the server is made anew
 */
async function containerId(lab, name) {
  const format = ["--no-trunc", "--format", "{{.ID}}"];
  const { stdout } = await docker(["ps", "--all", "--filter", `name=^muster-${lab}-${name}$`, ...format]);
  return stdout.trim() || undefined;
}
