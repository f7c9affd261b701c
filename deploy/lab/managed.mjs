/**
 * The lab's managed servers: made with an agent and a join string, so that each enrols when it boots; waits until all have.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { AGENT_NODE, agentFiles, joinAgain, joinFile, updateAgent } from "./agents.mjs";
import { answering, ctlJson } from "./ctl.mjs";
import { SetupError } from "./errors.mjs";
import { startFleet } from "./fleet.mjs";
import { SERVERS } from "./layout.mjs";
import { exec, findServer } from "./servers.mjs";
import { sshFiles } from "./ssh-access.mjs";

const ANSWER_MS = 180_000;
const MANAGED = SERVERS.filter((server) => server.managed).map((server) => server.name);

/**
 * The managed servers, each with an agent that has enrolled.
 * @param {import("./bring-up.mjs").Order} order
 * @param {import("./fleet.mjs").Machine} machine
 * @param {import("./state.mjs").State} state
 * @param {{ fleet: string, cut: boolean }} hub_fleet `cut`: broker and controller began anew just now, so that hosts have to find back first
 * @returns {Promise<string[]>} what was done
 */
export async function startManaged({ lab, operator, progress }, machine, state, { fleet, cut }) {
  const there = new Set(await enrolled(operator));
  const exist = await Promise.all(MANAGED.map(async (name) => ((await findServer(lab, name)) ? name : "")));
  const lost = MANAGED.filter((name) => there.has(name) && !exist.includes(name));
  if (lost.length > 0) {
    throw new SetupError(
      `${lost.join(", ")}: the server is gone, and another machine may not take its name. Begin again: npm run demo -- down, then npm run demo`,
    );
  }
  const missing = MANAGED.filter((name) => !there.has(name));
  const strings = missing.length === 0 ? new Map() : await joinStrings(operator, missing, fleet);
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
  if (missing.length > 0 || cut) {
    const what = missing.length > 0 ? "enrolment" : "hosts find back";
    await progress.step(what, { usually_s: 3 }, (note) => untilAnswering(operator, lab, note));
  }
  if (missing.length > 0) done.push(`${missing.join(", ")} enrolled`);
  return done;
}

/**
 * @param {import("./ctl.mjs").Operator} operator
 * @param {string[]} names
 * @param {string} fleet
 * @returns {Promise<Map<string, string>>}
 */
async function joinStrings(operator, names, fleet) {
  const { strings } = await ctlJson(operator, ["join", ...names, "--fleet", fleet]);
  return new Map(
    strings.map((/** @type {{ name: string, join: string }} */ { name, join: text }) => [name, text]),
  );
}

/**
 * @param {import("./ctl.mjs").Operator} operator
 * @param {string} lab
 * @param {(text: string) => void} note
 */
async function untilAnswering(operator, lab, note) {
  const deadline = Date.now() + ANSWER_MS;
  for (;;) {
    const there = await answering(operator);
    const missing = MANAGED.filter((name) => !there.includes(name));
    if (missing.length === 0) return;
    note(`waiting for ${missing.join(", ")}`);
    if (Date.now() > deadline) {
      const server = await findServer(lab, missing[0] ?? "");
      const log =
        server && (await exec(server, ["journalctl", "-u", "muster-agent", "-o", "cat", "-n", "15"]));
      throw new SetupError(
        `${missing.join(", ")} did not answer within ${ANSWER_MS / 1000} s. The agent says:\n${log?.stdout ?? ""}`,
      );
    }
    await sleep(300);
  }
}

/**
 * Who has a record. The controller may have begun anew, or lost its broker, a moment ago.
 * @param {import("./ctl.mjs").Operator} operator
 */
async function enrolled(operator) {
  const hosts = await ctlJson(operator, ["hosts"], { good: [0, 1, 4], patience_ms: ANSWER_MS });
  return /** @type {{ name: string, record: object | null }[]} */ (hosts)
    .filter((host) => host.record !== null)
    .map((host) => host.name);
}
