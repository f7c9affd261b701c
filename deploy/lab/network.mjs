/**
 * A lab's own Docker network: one bridge with an IPv4 and an IPv6 subnet that no other lab has, and a fixed address for
 * every planned server, so that names resolve before the servers run. The network itself is the only record of a lab.
 */
import { createHash } from "node:crypto";
import { run } from "./command.mjs";
import { docker } from "./docker.mjs";
import { SetupError } from "./errors.mjs";

/** IPv4 10.213.<n>.0/24 and IPv6 fd6d:7573:7465:<n>::/64 ("muste" in ASCII), n from 1 to 250. */
const LABS = 250;
const FIRST_PLANNED = 10;
const FIRST_UNPLANNED = 100;
const LAST = 250;

/**
 * @typedef {{ name: string, ipv6Only?: boolean }} Planned
 * @typedef {{ ipv4: string, ipv6: string }} Addresses
 *
 * @typedef {object} Lab
 * @property {string} name
 * @property {string} network name of the Docker network
 * @property {number} number the n of its subnets
 * @property {Planned[]} planned servers whose address and name are fixed from the start
 * @property {Addresses} gateway this machine's own addresses in the lab
 * @property {{ ipv4: string, ipv6: string }} subnets
 * @property {Promise<void>} turn ends when the server that is being made has its address
 */

/**
 * Makes a lab's network, or finds it; its planned servers cannot change later (remove the lab first).
 * @param {string} name `[a-z0-9-]`, at most 20 characters
 * @param {{ servers?: Planned[] }} [options]
 * @returns {Promise<Lab>}
 */
export async function createLab(name, { servers = [] } = {}) {
  if (!/^[a-z0-9][a-z0-9-]{0,19}$/.test(name)) {
    throw new SetupError(
      `lab name ${JSON.stringify(name)}: lower-case letters, digits and dashes, at most 20, not first a dash`,
    );
  }
  const found = await findLab(name);
  const plan = printPlan(servers);
  if (found !== undefined) {
    if (plan === printPlan(found.planned)) return found;
    throw new SetupError(
      `lab ${name} exists with other servers (${printPlan(found.planned)}); wanted: ${plan}. Remove it first.`,
    );
  }
  const start = createHash("sha256").update(name).digest().readUInt16BE(0);
  for (let attempt = 0; attempt < 40; attempt++) {
    const number = 1 + ((start + attempt) % LABS);
    const lab = describeLab(name, number, servers);
    const made = await run("docker", [
      ...["network", "create", "--driver", "bridge", "--ipv6"],
      ...[
        "--subnet",
        lab.subnets.ipv4,
        "--gateway",
        lab.gateway.ipv4,
        "--subnet",
        lab.subnets.ipv6,
        "--gateway",
        lab.gateway.ipv6,
      ],
      ...["--opt", `com.docker.network.bridge.name=muster${number}`],
      ...[
        "--label",
        `muster.lab=${name}`,
        "--label",
        `muster.number=${number}`,
        "--label",
        `muster.servers=${plan}`,
        lab.network,
      ],
    ]);
    if (made.code === 0) return lab;
    const now_there = await findLab(name); // two set-ups of one lab at once: the other was first
    if (now_there !== undefined) return now_there;
    if (!/overlap|conflict|already|exists|in use/i.test(made.stderr))
      throw new SetupError(`docker network create: ${made.stderr.trim()}`);
  }
  throw new SetupError(`lab ${name}: no free subnet in 10.213.0.0/16; remove a lab that is no longer needed`);
}

/**
 * @param {string} name
 * @returns {Promise<Lab | undefined>}
 */
export async function findLab(name) {
  const { stdout } = await docker([
    "network",
    "ls",
    "--filter",
    `label=muster.lab=${name}`,
    "--format",
    "{{.Name}}",
  ]);
  const network = stdout
    .trim()
    .split("\n")
    .find((line) => line === networkName(name));
  if (network === undefined) return undefined;
  const inspected = await docker(["network", "inspect", network]);
  const labels = JSON.parse(inspected.stdout)[0].Labels;
  return describeLab(name, Number(labels["muster.number"]), parsePlan(labels["muster.servers"] ?? ""));
}

/** The names of all labs on this machine. */
export async function listLabs() {
  const { stdout } = await docker([
    "network",
    "ls",
    "--filter",
    "label=muster.lab",
    "--format",
    '{{.Label "muster.lab"}}',
  ]);
  return stdout.split("\n").filter(Boolean).sort();
}

/**
 * The addresses of a server: fixed for a planned one, else the first that nobody in `taken` has.
 * @param {Lab} lab
 * @param {string} server
 * @param {string[]} taken IPv4 addresses of the lab's other servers
 * @returns {Addresses}
 */
export function addressesOf(lab, server, taken) {
  const index = lab.planned.findIndex((planned) => planned.name === server);
  if (index >= 0) return address(lab.number, FIRST_PLANNED + index);
  for (let host = FIRST_UNPLANNED; host <= LAST; host++) {
    const free = address(lab.number, host);
    if (!taken.includes(free.ipv4)) return free;
  }
  throw new SetupError(`lab ${lab.name}: no address left`);
}

/**
 * @param {string} name
 * @param {number} number
 * @param {Planned[]} planned
 * @returns {Lab}
 */
function describeLab(name, number, planned) {
  const subnets = { ipv4: `10.213.${number}.0/24`, ipv6: `fd6d:7573:7465:${number.toString(16)}::/64` };
  return {
    name,
    network: networkName(name),
    number,
    planned,
    gateway: address(number, 1),
    subnets,
    turn: Promise.resolve(),
  };
}

/**
 * @param {number} number
 * @param {number} host
 * @returns {Addresses}
 */
function address(number, host) {
  return {
    ipv4: `10.213.${number}.${host}`,
    ipv6: `fd6d:7573:7465:${number.toString(16)}::${host.toString(16)}`,
  };
}

/** @param {string} lab */
function networkName(lab) {
  return `muster-${lab}`;
}

/** @param {Planned[]} servers `name`, and `name/6` for one that is IPv6 only */
function printPlan(servers) {
  return servers.map((server) => `${server.name}${server.ipv6Only ? "/6" : ""}`).join(",");
}

/**
 * @param {string} text
 * @returns {Planned[]}
 */
function parsePlan(text) {
  return text
    .split(",")
    .filter(Boolean)
    .map((item) => {
      const [name = "", only] = item.split("/");
      return { name, ipv6Only: only === "6" };
    });
}
