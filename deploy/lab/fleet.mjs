/**
 * Brings up the servers of the demo's layout, all at once, with everything they need on this machine. Running it again finds
 * what is there.
 */
import { ensureDocker } from "./docker.mjs";
import { hubBinds, hubFiles } from "./hub.mjs";
import { ensureImage } from "./image.mjs";
import { ensureInotify } from "./inotify.mjs";
import { plannedServers, SERVERS, serverSpec } from "./layout.mjs";
import { createLab } from "./network.mjs";
import { ensureNodeRuntime } from "./node-runtime.mjs";
import { startServer } from "./servers.mjs";
import { ensureTools } from "./tools.mjs";

/**
 * @typedef {Awaited<ReturnType<typeof prepare>>} Machine
 * @typedef {Awaited<ReturnType<typeof startServer>>} Started
 */

/**
 * Everything on this machine that lab servers need: engine, image, programs. Warm: well under a second.
 * @param {import("./progress.mjs").Progress} progress
 */
export async function prepare(progress) {
  ensureInotify(progress);
  const engine = await ensureDocker(progress);
  const [image, node, tools] = await Promise.all([
    ensureImage(progress),
    ensureNodeRuntime(progress),
    ensureTools(progress),
  ]);
  return { engine, image, node, tools };
}

/**
 * The layout's servers, booted.
 * @param {string} name of the lab
 * @param {Machine} machine
 * @param {import("./progress.mjs").Progress} progress
 * @param {{ only?: string[], extend?: (name: string) => Pick<import("./servers.mjs").ServerSpec, "files" | "first_files" | "binds" | "env"> }} [options]
 *   `extend`: what else a server gets before its first boot
 * @returns {Promise<{ lab: import("./network.mjs").Lab, servers: Record<string, Started> }>}
 */
export async function startFleet(name, machine, progress, { only, extend } = {}) {
  const lab = await createLab(name, { servers: plannedServers() });
  const wanted = SERVERS.filter((server) => only === undefined || only.includes(server.name));
  const servers = await progress.step(`${wanted.length} servers`, { usually_s: 4 }, () =>
    Promise.all(
      wanted.map((server) =>
        startServer(lab, fullSpec(server, machine, extend?.(server.name)), machine.engine),
      ),
    ),
  );
  return { lab, servers: Object.fromEntries(servers.map((server) => [server.name, server])) };
}

/**
 * @param {typeof SERVERS[number]} server
 * @param {Machine} machine
 * @param {Pick<import("./servers.mjs").ServerSpec, "files" | "first_files" | "binds" | "env">} [more]
 * @returns {import("./servers.mjs").ServerSpec}
 */
function fullSpec(server, machine, more = {}) {
  const spec = { ...serverSpec(server.name), image: machine.image };
  const own =
    server.name === "hub" ? { files: hubFiles(), binds: hubBinds(machine) } : { files: {}, binds: {} };
  const node = server.managed ? { "/usr/lib/muster/node": machine.node.directory } : {};
  return {
    ...spec,
    files: { ...spec.files, ...own.files, ...more.files },
    first_files: more.first_files ?? {},
    binds: { ...own.binds, ...node, ...more.binds },
    env: more.env ?? {},
  };
}
