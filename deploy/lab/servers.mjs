/**
 * Lab servers: Docker containers that boot Debian with systemd, one network a lab. Starting is idempotent; what a server
 * was made with is recorded in its labels, so that a changed recipe is noticed and not silently ignored.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { tar } from "./archive.mjs";
import { run } from "./command.mjs";
import { createArguments, networkFile, recipeOf } from "./container.mjs";
import { docker } from "./docker.mjs";
import { SetupError } from "./errors.mjs";
import { addressesOf, findLab } from "./network.mjs";

const BOOT_MS = 180_000;

/**
 * @typedef {object} ServerSpec
 * @property {string} name
 * @property {string} image tag from `ensureImage`
 * @property {boolean} [ipv6Only] it loses its IPv4 address at every boot
 * @property {string[]} [extraAddresses] with prefix length, on eth0 at every boot
 * @property {Record<string, import("./archive.mjs").Entry>} [files] in place before the first boot
 * @property {Record<string, import("./archive.mjs").Entry>} [first_files] likewise, but no part of the recipe: what differs each time
 *   (a join string), and what is delivered anew later (programs)
 * @property {Record<string, string>} [binds] path in the server → directory of this machine, read-only
 * @property {Record<string, string>} [env] environment of its init (units see it by PassEnvironment=)
 *
 * @typedef {object} Server
 * @property {string} lab
 * @property {string} name
 * @property {string} container
 * @property {string} network
 * @property {string | undefined} ipv4 undefined on an IPv6-only server
 * @property {string} ipv6
 * @property {string} state of the container: running, exited, created, …
 * @property {string} recipe hash of what it was made with
 */

/**
 * Makes and boots a server, or boots the one there is. Returns when systemd says it is up.
 * @param {import("./network.mjs").Lab} lab
 * @param {ServerSpec} spec
 * @param {import("./docker.mjs").Engine} engine
 * @returns {Promise<Server & { created: boolean, booted: boolean, stale: boolean }>} `booted`: it was off or not there;
 *   `stale`: it was made with another recipe than `spec`, remove it to have the new one
 */
export async function startServer(lab, spec, engine) {
  const recipe = recipeOf(spec);
  const existing = await findServer(lab.name, spec.name);
  if (existing !== undefined && existing.state !== "created") {
    const booted = existing.state !== "running";
    if (booted) await docker(["start", existing.container]);
    await waitUntilUp(existing, { degraded: true });
    return { ...existing, state: "running", created: false, booted, stale: existing.recipe !== recipe };
  }
  // A run that was cut off between making and starting left a server without its files.
  if (existing !== undefined) await remove(existing);
  const container = await createContainer(lab, spec, engine, recipe);
  try {
    await copyIn(
      { container },
      { "/etc/lab/network": networkFile(spec), ...spec.files, ...spec.first_files },
    );
    await docker(["start", container]);
  } catch (error) {
    await remove({ container });
    throw error;
  }
  const server = await findServer(lab.name, spec.name);
  if (server === undefined) throw new SetupError(`${container} was made and is gone again`);
  await waitUntilUp(server);
  return { ...server, created: true, booted: true, stale: false };
}

/**
 * The servers of one lab or of all, by name.
 * @param {string} [lab]
 * @returns {Promise<(Server & { docker_ipv4: string })[]>} `docker_ipv4`: what Docker gave it, used or not
 */
export async function listServers(lab) {
  const label = lab === undefined ? "label=muster.lab" : `label=muster.lab=${lab}`;
  const ids = (await docker(["ps", "--all", "--quiet", "--no-trunc", "--filter", label])).stdout
    .split("\n")
    .filter(Boolean);
  if (ids.length === 0) return [];
  const inspected = await run("docker", ["inspect", "--type", "container", ...ids]); // one may go away in between
  /** @type {(Server & { docker_ipv4: string })[]} */
  const servers = JSON.parse(inspected.stdout).map(parseServer);
  return servers.sort((a, b) => a.container.localeCompare(b.container));
}

/**
 * @param {string} lab
 * @param {string} name
 */
export async function findServer(lab, name) {
  const { code, stdout } = await run("docker", ["inspect", "--type", "container", `muster-${lab}-${name}`]);
  return code === 0 ? parseServer(JSON.parse(stdout)[0]) : undefined;
}

/**
 * Runs a program in a server as root.
 * @param {Server} server
 * @param {string[]} argv
 * @param {{ input?: string | Buffer, timeout_ms?: number, env?: Record<string, string>, signal?: AbortSignal }} [options]
 *   after `timeout_ms` (default 120 s) code 124 comes back; the program in the server may still run
 * @returns {Promise<import("./command.mjs").Result>} also for a non-zero exit
 */
export function exec(server, argv, { input, timeout_ms = 120_000, env = {}, signal } = {}) {
  const environment = Object.entries(env).flatMap(([key, value]) => ["--env", `${key}=${value}`]);
  const options = {
    timeout_ms,
    ...(input === undefined ? {} : { input }),
    ...(signal === undefined ? {} : { signal }),
  };
  return run(
    "docker",
    ["exec", ...(input === undefined ? [] : ["--interactive"]), ...environment, server.container, ...argv],
    options,
  );
}

/**
 * Like `exec`; a non-zero exit throws with what was said. Returns standard output.
 * @param {Server} server
 * @param {string[]} argv
 * @param {Parameters<typeof exec>[2]} [options]
 */
export async function mustExec(server, argv, options) {
  const { code, stdout, stderr } = await exec(server, argv, options);
  if (code !== 0)
    throw new SetupError(`${server.name}: ${argv.join(" ")} exited ${code}: ${(stderr || stdout).trim()}`);
  return stdout;
}

/**
 * Puts files into a server, running or not, with owner and mode; missing parents are made. `/run` and `/tmp` are refused:
 * they are memory there, and Docker would write beneath them without a word.
 * @param {Pick<Server, "container">} server
 * @param {Record<string, import("./archive.mjs").Entry>} files
 */
export async function copyIn(server, files) {
  const hidden = Object.keys(files).find((path) => /^\/?(run|tmp|var\/run|dev|proc|sys)\//.test(path));
  if (hidden !== undefined)
    throw new SetupError(`${hidden}: cannot be copied in (a memory file system there); write it by exec`);
  await docker(["cp", "-", `${server.container}:/`], { input: tar(files) });
}

/**
 * Removes a server and all that is in it; none is no error.
 * @param {Pick<Server, "container">} server
 */
export async function remove(server) {
  await docker(["rm", "--force", "--volumes", server.container]);
}

/**
 * Removes a lab: its servers and its network.
 * @param {string} name
 * @returns {Promise<number>} servers removed
 */
export async function removeLab(name) {
  const servers = await listServers(name);
  await Promise.all(servers.map(remove));
  const lab = await findLab(name);
  if (lab !== undefined) await docker(["network", "rm", lab.network]);
  return servers.length;
}

/**
 * Returns when systemd has started everything; throws after three minutes.
 * @param {Server} server
 * @param {{ degraded?: boolean }} [options] whether failed units are a result (default: they throw, named)
 * @returns {Promise<"running" | "degraded">}
 */
export async function waitUntilUp(server, { degraded = false } = {}) {
  const script =
    "until [ -S /run/systemd/private ]; do sleep 0.05; done; exec systemctl is-system-running --wait";
  const deadline = Date.now() + BOOT_MS;
  let last = "";
  while (Date.now() < deadline) {
    const { stdout, stderr } = await exec(server, ["sh", "-c", script], {
      timeout_ms: deadline - Date.now(),
    });
    last = stdout.trim() || stderr.trim();
    if (last === "running" || (last === "degraded" && degraded)) return last;
    if (last === "degraded") {
      const failed = await exec(server, ["systemctl", "list-units", "--failed", "--plain", "--no-legend"]);
      throw new SetupError(`${server.container}: units failed at boot:\n${failed.stdout.trim()}`);
    }
    await sleep(200);
  }
  throw new SetupError(`${server.container}: not up after ${BOOT_MS / 1000} s: ${last}`);
}

/**
 * Makes a server's container, not started. One at a time in a lab: the next must see which addresses are taken.
 * @param {import("./network.mjs").Lab} lab
 * @param {ServerSpec} spec
 * @param {import("./docker.mjs").Engine} engine
 * @param {string} recipe
 * @returns {Promise<string>} its name
 */
async function createContainer(lab, spec, engine, recipe) {
  const container = `muster-${lab.name}-${spec.name}`;
  const before = lab.turn;
  const mine = (async () => {
    await before;
    const others = await listServers(lab.name);
    const taken = others.map((other) => other.docker_ipv4);
    const addresses = addressesOf(lab, spec.name, taken);
    await docker(["create", ...createArguments(lab, spec, engine, { container, recipe, addresses })]);
  })();
  lab.turn = mine.catch(() => {}); // whose turn it was throws by itself; the next goes on
  await mine;
  return container;
}

/** @param {any} inspected as `docker inspect` prints it */
function parseServer(inspected) {
  const labels = inspected.Config.Labels;
  const [network, endpoint] = Object.entries(inspected.NetworkSettings.Networks)[0] ?? ["", {}];
  const docker_ipv4 = endpoint.IPAMConfig?.IPv4Address || endpoint.IPAddress || "";
  return {
    lab: labels["muster.lab"],
    name: labels["muster.server"],
    container: inspected.Name.replace(/^\//, ""),
    network,
    docker_ipv4,
    ipv4: labels["muster.ipv6only"] === "yes" ? undefined : docker_ipv4,
    ipv6: endpoint.IPAMConfig?.IPv6Address || endpoint.GlobalIPv6Address || "",
    state: inspected.State.Status,
    recipe: labels["muster.recipe"],
  };
}
