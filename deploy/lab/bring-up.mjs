/**
 * From nothing to the example fleet, running: the one way in which the demo and the end-to-end tests come to their servers. Every
 * step looks first and does only what is missing, so that a run that was cut off anywhere is finished by the next.
 */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { AGENT_NODE, agentFiles, joinAgain, joinFile, updateAgent } from "./agents.mjs";
import { ctl, ctlJson, mustCtl } from "./ctl.mjs";
import { docker } from "./docker.mjs";
import { SetupError } from "./errors.mjs";
import { prepare, startFleet } from "./fleet.mjs";
import { logIn, makeFleet } from "./hub-fleet.mjs";
import { startVault } from "./hub-vault.mjs";
import { SERVERS } from "./layout.mjs";
import { exec, findServer, removeLab } from "./servers.mjs";
import { sshAccess, sshFiles } from "./ssh-access.mjs";
import { openState } from "./state.mjs";

/** The fleet that `inventory/` declares. */
export const FLEET = "as64500";
const HUB_ID = "hub-id";
const ENROL_MS = 60_000;
/** BIRD waits 5 s before it dials, and after a refusal up to 30 s more. */
const SESSIONS_MS = 120_000;

const MANAGED = SERVERS.filter((server) => server.managed).map((server) => server.name);

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
  const ssh = await sshAccess(hub, state, operator.home, FLEET);
  note(vault.changed, "Vault");
  note(hub_fleet.changed, "broker and controller");
  note(login.changed, "log-in");
  note(ssh.changed, "ssh");
  done.push(...(await startManaged(order, machine, state)));
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
  await forget(operator, state);
  const count = await removeLab(lab);
  state.clear();
  rmSync(join(operator.folder, "hosts.lock"), { force: true });
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
    await checkHome(operator);
    // Of a fleet that is gone: its names stood for other keys.
    rmSync(join(operator.folder, "hosts.lock"), { force: true });
  }
  return !fits;
}

/**
 * A fleet of that name that is not a lab's must not be overwritten.
 * @param {import("./ctl.mjs").Operator} operator
 */
async function checkHome(operator) {
  const known = await whoami(operator);
  if (known === undefined) return;
  if (known.brokers.every((/** @type {string} */ broker) => /^(10\.213\.|\[fd6d:7573:7465:)/.test(broker))) {
    await ctl(operator, ["logout", "--forget", "--fleet", FLEET]);
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
async function forget(operator, state) {
  if (!existsSync(join(operator.root, "dist", "ctl", "main.mjs"))) return;
  const known = await whoami(operator);
  const own = state.read("fleet/fleet-string")?.split("#")[1];
  if (known !== undefined && known.anchor === own)
    await ctl(operator, ["logout", "--forget", "--fleet", FLEET], { timeout_ms: 20_000 });
}

/**
 * @param {import("./ctl.mjs").Operator} operator
 * @returns {Promise<{ anchor: string, brokers: string[] } | undefined>}
 */
async function whoami(operator) {
  const { stdout } = await ctl(operator, ["whoami", "--fleet", FLEET, "--json"]);
  const answer = stdout === "" ? {} : JSON.parse(stdout);
  return answer.anchor === undefined ? undefined : answer;
}

/**
 * The managed servers, each with an agent that has enrolled.
 * @param {Order} order
 * @param {import("./fleet.mjs").Machine} machine
 * @param {import("./state.mjs").State} state
 * @returns {Promise<string[]>} what was done
 */
async function startManaged({ lab, operator, progress }, machine, state) {
  const there = new Set(await enrolled(operator));
  const exist = await Promise.all(MANAGED.map(async (name) => ((await findServer(lab, name)) ? name : "")));
  const lost = MANAGED.filter((name) => there.has(name) && !exist.includes(name));
  if (lost.length > 0) {
    throw new SetupError(
      `${lost.join(", ")}: the server is gone, and another machine may not take its name. Begin again: npm run demo -- down, then npm run demo`,
    );
  }
  const missing = MANAGED.filter((name) => !there.has(name));
  const strings = missing.length === 0 ? new Map() : await joinStrings(operator, missing);
  const { servers } = await startFleet(lab, machine, progress, {
    only: MANAGED,
    extend: (name) => ({
      binds: { [AGENT_NODE]: machine.node.directory },
      first_files: {
        ...agentFiles(operator.root),
        ...joinFile(strings.get(name) ?? ""),
        ...sshFiles(state),
      },
    }),
  });
  const done = [];
  for (const server of Object.values(servers)) {
    if (server.booted) done.push(`${server.name} booted`);
    if (server.created) continue;
    if (await updateAgent(server, operator.root)) done.push(`${server.name} agent`);
    const text = strings.get(server.name);
    if (text !== undefined) await joinAgain(server, text);
  }
  if (missing.length > 0) {
    await progress.step("enrolment", { usually_s: 3 }, (note) => untilEnrolled(operator, lab, note));
    done.push(`${missing.join(", ")} enrolled`);
  }
  return done;
}

/**
 * @param {import("./ctl.mjs").Operator} operator
 * @param {string[]} names
 * @returns {Promise<Map<string, string>>}
 */
async function joinStrings(operator, names) {
  const { strings } = await ctlJson(operator, ["join", ...names, "--fleet", FLEET]);
  return new Map(
    strings.map((/** @type {{ name: string, join: string }} */ { name, join: text }) => [name, text]),
  );
}

/**
 * @param {import("./ctl.mjs").Operator} operator
 * @param {string} lab
 * @param {(text: string) => void} note
 */
async function untilEnrolled(operator, lab, note) {
  const deadline = Date.now() + ENROL_MS;
  for (;;) {
    const there = await enrolled(operator);
    const missing = MANAGED.filter((name) => !there.includes(name));
    if (missing.length === 0) return;
    note(`waiting for ${missing.join(", ")}`);
    if (Date.now() > deadline) {
      const server = await findServer(lab, missing[0] ?? "");
      const log =
        server && (await exec(server, ["journalctl", "-u", "muster-agent", "-o", "cat", "-n", "15"]));
      throw new SetupError(
        `${missing.join(", ")} did not enrol in ${ENROL_MS / 1000} s. The agent says:\n${log?.stdout ?? ""}`,
      );
    }
    await sleep(300);
  }
}

/** @param {import("./ctl.mjs").Operator} operator */
async function enrolled(operator) {
  const hosts = await ctlJson(operator, ["hosts"], { good: [0, 1, 4] });
  return /** @type {{ name: string, record: object | null }[]} */ (hosts)
    .filter((host) => host.record !== null)
    .map((host) => host.name);
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
  await progress.step("first apply", { usually_s: 10 }, () =>
    mustCtl(operator, ["apply", "-y", "-m", "first light"]),
  );
  return true;
}

/**
 * Waits for BGP after servers were booted or given their configuration. Not for ever: the table that follows says what is missing.
 * @param {Order} order
 */
async function untilSessions({ operator, progress }) {
  await progress.step("BGP sessions", { usually_s: 15 }, async () => {
    const deadline = Date.now() + SESSIONS_MS;
    while (!(await sessionsUp(operator))) {
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
