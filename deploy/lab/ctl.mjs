/**
 * The lab's operator: runs the clone's own `ctl` as a person would, in a fleet folder and with a home of its own.
 */
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { run } from "./command.mjs";
import { SetupError } from "./errors.mjs";

/**
 * @typedef {object} Operator
 * @property {string} root of the clone whose built ctl is used
 * @property {string} folder the fleet folder to stand in
 * @property {string} [home] for profiles and log-ins (MUSTER_HOME); none: the person's own, ~/.config/muster
 */

/** Longer than any command waits by itself. */
const LIMIT_MS = 180_000;
/** Exit code of a command that nobody answered. */
const UNREACHABLE = 5;

/**
 * Runs `ctl`; every exit code is a result.
 * @param {Operator} operator
 * @param {string[]} args
 * @param {{ input?: string, timeout_ms?: number, env?: NodeJS.ProcessEnv, signal?: AbortSignal }} [options]
 */
export function ctl({ root, folder, home }, args, { timeout_ms = LIMIT_MS, env = {}, ...options } = {}) {
  return run(process.execPath, [join(root, "dist", "ctl", "ctl.cjs"), ...args], {
    ...options,
    timeout_ms,
    cwd: folder,
    env: { ...process.env, ...(home === undefined ? {} : { MUSTER_HOME: home }), ...env },
  });
}

/**
 * Runs `ctl … --json` and gives its value. Exit codes other than those in `good` throw with what was said; while nobody is there to answer, it is asked
 * again for `patience_ms`.
 * @param {Operator} operator
 * @param {string[]} args
 * @param {{ good?: number[], timeout_ms?: number, patience_ms?: number }} [options]
 * @returns {Promise<any>}
 */
export async function ctlJson(operator, args, { good = [0], patience_ms = 0, ...options } = {}) {
  const deadline = Date.now() + patience_ms;
  for (;;) {
    const result = await ctl(operator, [...args, "--json"], options);
    if (good.includes(result.code)) return JSON.parse(result.stdout);
    if (result.code !== UNREACHABLE || Date.now() > deadline) throw new SetupError(said(args, result));
    await sleep(300);
  }
}

/**
 * Runs `ctl`; a non-zero exit throws with what was said. While nobody is there to answer, it is asked again for `patience_ms`.
 * @param {Operator} operator
 * @param {string[]} args
 * @param {Parameters<typeof ctl>[2] & { patience_ms?: number }} [options]
 */
export async function mustCtl(operator, args, { patience_ms = 0, ...options } = {}) {
  const deadline = Date.now() + patience_ms;
  for (;;) {
    const result = await ctl(operator, args, options);
    if (result.code === 0) return result;
    if (result.code !== UNREACHABLE || Date.now() > deadline) throw new SetupError(said(args, result));
    await sleep(300);
  }
}

/**
 * Hosts that answer now. A record stands there before its agent listens.
 * @param {Operator} operator
 * @returns {Promise<string[]>} their names
 */
export async function answering(operator) {
  const { stdout } = await ctl(operator, ["rpc", "ping", "--json"]);
  return Object.keys(stdout === "" ? {} : (JSON.parse(stdout).answered ?? {}));
}

/**
 * Where the operator's profile and log-in of a fleet are.
 * @param {Operator} operator
 * @param {string} fleet
 */
export function profileDirectory({ home }, fleet) {
  return join(home ?? (process.env.MUSTER_HOME || join(homedir(), ".config", "muster")), fleet);
}

/**
 * What the operator's machine knows of a fleet; read from its file, since a clone may not be built.
 * @param {Operator} operator
 * @param {string} fleet
 * @returns {{ anchor: string, brokers: string[], bundle: { ssh_host_ca: string[] } } | undefined}
 */
export function readProfile(operator, fleet) {
  const path = join(profileDirectory(operator, fleet), "fleet.json");
  return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : undefined;
}

/**
 * @param {string[]} args
 * @param {import("./command.mjs").Result} result
 */
function said(args, { code, stdout, stderr }) {
  const text = `${stdout}\n${stderr}`.trim().split("\n").slice(-20).join("\n");
  return `ctl ${args.join(" ")} ended with ${code}:\n${text}`;
}
