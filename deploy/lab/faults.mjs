/**
 * What goes wrong with real servers, on purpose: a reboot, power loss, a cut line. Each is undone by its counterpart.
 */
import { docker } from "./docker.mjs";
import { exec, mustExec, waitUntilUp } from "./servers.mjs";

/** SIGRTMIN+3 asks systemd for an orderly halt; after this Docker kills. */
const HALT_S = 15;
const CUT_TABLE = "lab_cut";

/** @typedef {import("./servers.mjs").Server} Server */

/**
 * An orderly reboot; returns when the server is up again, and whether units failed. A cut line is whole after it.
 * @param {Server} server
 */
export async function restart(server) {
  await docker(["restart", "--time", String(HALT_S), server.container]);
  return waitUntilUp(server, { degraded: true });
}

/**
 * Power loss: nothing in the server gets to say goodbye. `start` brings it back.
 * @param {Server} server
 */
export async function kill(server) {
  await docker(["kill", "--signal", "KILL", server.container]);
}

/**
 * Boots a server that is off; returns when it is up, and whether units failed.
 * @param {Server} server
 */
export async function start(server) {
  await docker(["start", server.container]);
  return waitUntilUp(server, { degraded: true });
}

/**
 * Cuts a server's line: frames are dropped in both directions below the addresses, so that nothing in it notices but by
 * silence (no reset, no unreachable). `exec` goes on working. Cutting again replaces the cut.
 * @param {Server} server
 * @param {{ from?: string[] }} [options] `from`: only to and from these IPv4 and IPv6 addresses; default: everything
 */
export async function cut(server, { from } = {}) {
  await mend(server);
  await mustExec(server, ["nft", "-f", "-"], { input: cutRules(from) });
}

/**
 * Ends a cut; none is no error.
 * @param {Server} server
 */
export async function mend(server) {
  await exec(server, ["nft", "delete", "table", "netdev", CUT_TABLE]);
}

/**
 * The nft script of a cut (nft(8), netdev family: ingress, and egress from Linux 5.16).
 * @param {string[] | undefined} from
 */
export function cutRules(from) {
  const chain = (/** @type {string} */ hook, /** @type {"saddr" | "daddr"} */ side) => {
    const rules = (from ?? []).map(
      (address) => `${address.includes(":") ? "ip6" : "ip"} ${side} ${address} drop;`,
    );
    const policy = from === undefined ? "drop" : "accept";
    return `chain ${hook} { type filter hook ${hook} device "eth0" priority -500; policy ${policy}; ${rules.join(" ")} }`;
  };
  return `table netdev ${CUT_TABLE} {\n${chain("ingress", "saddr")}\n${chain("egress", "daddr")}\n}\n`;
}
