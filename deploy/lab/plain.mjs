/**
 * The demo without root and without Docker: broker, Vault, controller and three agents as processes of the person. Each agent manages a directory
 * that it takes for its file system. Every step looks first and does only what is missing.
 */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { answering, ctl, ctlJson, mustCtl, profileDirectory, readProfile } from "./ctl.mjs";
import { SetupError } from "./errors.mjs";
import { logIn } from "./hub-fleet.mjs";
import { makeFleet, startVault } from "./plain-hub.mjs";
import { endProgram, ensureRunning } from "./processes.mjs";
import { openState } from "./state.mjs";
import { ensureTools } from "./tools.mjs";

const LAB = "demo-plain";
/** Not the example's own name: it must not stand in the way of a fleet that the person has. */
const FLEET = "demo";
const HOSTS = ["core1", "ixp1", "probe1"];
const RESOURCES = fileURLToPath(new URL("plain/routers.yml", import.meta.url));
const ENROL_MS = 180_000;
const READY_MS = 60_000;

/**
 * Where a person stands for `./ctl`.
 * @param {string} root of the clone
 */
export const plainFolder = (root) => join(root, "demo");

/** @param {string} root */
function placeOf(root) {
  const state = openState(LAB);
  return { state, operator: { root, folder: join(plainFolder(root), "inventory") } };
}

/** Whether there is one that can be taken down. */
export const plainIsThere = () => existsSync(openState(LAB).directory);

/**
 * Brings it up, or finds it up.
 * @param {string} root of the clone, built
 * @param {import("./progress.mjs").Progress} progress
 * @returns {Promise<{ done: string[], operator: import("./ctl.mjs").Operator, state: import("./state.mjs").State }>}
 */
export async function bringPlainUp(root, progress) {
  const { state, operator } = placeOf(root);
  /** @type {string[]} */
  const done = [];
  if (!plainIsThere()) checkProfile(operator);
  if (makeFolder(root, operator)) done.push("folder");
  const tools = await ensureTools(progress);
  const hub = { name: FLEET, state, operator, tools };
  if (await progress.step("Vault", { usually_s: 5 }, () => startVault(hub))) done.push("Vault");
  const fleet = await progress.step("fleet: broker and controller", { usually_s: 8 }, () => makeFleet(hub));
  if (fleet.changed) done.push("broker and controller");
  // The lab's own log-in takes no more of a hub than this.
  const login = await logIn({ name: FLEET, state, operator }, fleet.fleet_string);
  if (login.changed) done.push("log-in");
  done.push(...(await startAgents(root, state, operator, progress)));
  const { hosts } = await ctlJson(operator, ["status"], { good: [0, 1, 3, 4] });
  if (hosts.some((/** @type {{ state: string }} */ host) => host.state === "watched")) {
    await progress.step("first apply", { usually_s: 5 }, () =>
      mustCtl(operator, ["apply", "-y", "-m", "first light"]),
    );
    done.push("first apply");
  }
  return { done, operator, state };
}

/**
 * Ends every process of it and removes its files, the folder and the person's knowledge of the fleet.
 * @param {string} root of the clone
 * @returns {Promise<{ ended: number, removed: string[] }>}
 */
export async function takePlainDown(root) {
  const { state, operator } = placeOf(root);
  const ran = [];
  for (const name of [...HOSTS, "controller", "nats-server", "vault"])
    ran.push(await endProgram(state, name));
  const own = state.read("fleet/fleet-string")?.split("#")[1];
  if (own !== undefined && readProfile(operator, FLEET)?.anchor === own)
    rmSync(profileDirectory(operator, FLEET), { recursive: true });
  state.clear();
  rmSync(plainFolder(root), { recursive: true, force: true });
  return { ended: ran.filter(Boolean).length, removed: [state.directory, plainFolder(root)] };
}

/**
 * The example folder with what can be had here, and `ctl` beside it.
 * @param {string} root
 * @param {import("./ctl.mjs").Operator} operator
 * @returns {boolean} whether it was made
 */
function makeFolder(root, { folder }) {
  if (existsSync(join(folder, "muster.yml"))) return false;
  cpSync(join(root, "inventory"), folder, {
    recursive: true,
    filter: (path) => !path.endsWith(".lock") && !/inventory\/resources\/./.test(path),
  });
  mkdirSync(join(folder, "resources"), { recursive: true });
  cpSync(RESOURCES, join(folder, "resources", "routers.yml"));
  const settings = readFileSync(join(root, "inventory", "muster.yml"), "utf8");
  writeFileSync(join(folder, "muster.yml"), settings.replace(/^fleet:.*$/m, `fleet: ${FLEET}`));
  const link = join(plainFolder(root), "ctl");
  if (!existsSync(link)) symlinkSync(relative(plainFolder(root), join(root, "ctl")), link);
  return true;
}

/** @param {import("./ctl.mjs").Operator} operator */
function checkProfile(operator) {
  const known = readProfile(operator, FLEET);
  if (known === undefined) return;
  if (known.brokers.every((broker) => broker.startsWith("127.0.0.1:"))) {
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
 * @param {string} root
 * @param {import("./state.mjs").State} state
 * @param {import("./ctl.mjs").Operator} operator
 * @param {import("./progress.mjs").Progress} progress
 * @returns {Promise<string[]>}
 */
async function startAgents(root, state, operator, progress) {
  const missing = HOSTS.filter((name) => state.read(`${name}-joined`) === undefined);
  if (missing.length > 0) {
    const { strings } = await ctlJson(operator, ["join", ...missing, "--fleet", FLEET]);
    for (const { name, join: text } of strings) makeHost(state, name, text);
  }
  const started = await Promise.all(
    HOSTS.map((name) => {
      const args = [join(root, "dist", "agent.cjs"), "run", "--config", state.path(`hosts/${name}.json`)];
      return ensureRunning(state, { name, file: process.execPath, args, ready: async () => true }, READY_MS);
    }),
  );
  await progress.step("enrolment", { usually_s: 3 }, (note) => untilEnrolled(operator, state, note));
  for (const name of missing) state.write(`${name}-joined`, "yes");
  return HOSTS.filter((_, at) => started[at]).map((name) => `${name} started`);
}

/**
 * The directory that an agent takes for its file system; root there is the person.
 * @param {import("./state.mjs").State} state
 * @param {string} name
 * @param {string} text its join string
 */
function makeHost(state, name, text) {
  const prefix = state.path(`hosts/${name}`);
  for (const below of ["etc/muster", "etc/ssh", "run"])
    mkdirSync(join(prefix, below), { recursive: true, mode: 0o755 });
  const { uid, gid } = userInfo();
  writeFileSync(join(prefix, "etc/passwd"), `root:x:${uid}:${gid}::/root:/bin/sh\n`);
  writeFileSync(join(prefix, "etc/group"), `root:x:${gid}:\n`);
  writeFileSync(join(prefix, "etc/muster/join"), `${text}\n`, { mode: 0o600 });
  state.write(`hosts/${name}.json`, JSON.stringify({ prefix, name }));
}

/**
 * @param {import("./ctl.mjs").Operator} operator
 * @param {import("./state.mjs").State} state
 * @param {(text: string) => void} note
 */
async function untilEnrolled(operator, state, note) {
  const deadline = Date.now() + ENROL_MS;
  for (;;) {
    const there = await answering(operator);
    const missing = HOSTS.filter((name) => !there.includes(name));
    if (missing.length === 0) return;
    note(`waiting for ${missing.join(", ")}`);
    if (Date.now() > deadline) {
      const said = (state.read(`run/${missing[0]}.log`) ?? "").split("\n").slice(-15).join("\n");
      throw new SetupError(
        `${missing.join(", ")} did not enrol in ${ENROL_MS / 1000} s. The agent says:\n${said}`,
      );
    }
    await sleep(300);
  }
}
