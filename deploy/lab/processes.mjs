/**
 * Programs that go on when this one ends, for the demo without Docker: started detached, known by process id and start time, so that an id that
 * the system gave to another process meanwhile is never touched. What they print goes to a file each.
 */
import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { codeOf, SetupError } from "./errors.mjs";

const END_MS = 10_000;
const SAID_LINES = 15;

/**
 * @typedef {object} Program
 * @property {string} name
 * @property {string} file
 * @property {string[]} args
 * @property {NodeJS.ProcessEnv} [env] replaces the environment but for PATH
 * @property {() => Promise<boolean>} ready whether it does what it is there for
 */

/** @param {string} name */
const note = (name) => `run/${name}.json`;
/**
 * What it printed since it was started, a file of the state.
 * @param {string} name
 */
export const logOf = (name) => `run/${name}.log`;

/**
 * Runs a program, if it does not run already, and waits until it is ready.
 * @param {import("./state.mjs").State} state
 * @param {Program} program
 * @param {number} limit_ms
 * @returns {Promise<boolean>} whether it was started
 */
export async function ensureRunning(state, { name, file, args, env = {}, ready }, limit_ms) {
  const known = alive(state, name);
  if (!known) {
    mkdirSync(dirname(state.path(logOf(name))), { recursive: true, mode: 0o700 });
    const output = openSync(state.path(logOf(name)), "w", 0o600);
    const child = spawn(file, args, {
      detached: true,
      stdio: ["ignore", output, output],
      cwd: state.directory,
      env: { PATH: process.env.PATH, ...env },
    });
    closeSync(output);
    // Told by `ready` below: a program that cannot be started never is.
    child.on("error", () => {});
    child.unref();
    if (child.pid !== undefined)
      state.write(note(name), JSON.stringify({ pid: child.pid, begun: begun(child.pid) }));
  }
  const deadline = Date.now() + limit_ms;
  while (!(await ready())) {
    if (!alive(state, name) || Date.now() > deadline) {
      const said = (state.read(logOf(name)) ?? "").split("\n").slice(-SAID_LINES).join("\n");
      throw new SetupError(
        `${name} ${alive(state, name) ? `is not ready after ${limit_ms / 1000} s` : "ended"}:\n${said}`,
      );
    }
    await sleep(100);
  }
  return !known;
}

/**
 * Ends a program and waits for its end; none that runs is fine.
 * @param {import("./state.mjs").State} state
 * @param {string} name
 * @returns {Promise<boolean>} whether it ran
 */
export async function endProgram(state, name) {
  const known = read(state, name);
  if (known === undefined || !alive(state, name)) return false;
  process.kill(known.pid, "SIGTERM");
  const deadline = Date.now() + END_MS;
  while (alive(state, name)) {
    if (Date.now() > deadline) process.kill(known.pid, "SIGKILL");
    await sleep(50);
  }
  return true;
}

/**
 * @param {import("./state.mjs").State} state
 * @param {string} name
 */
export function alive(state, name) {
  const known = read(state, name);
  return known !== undefined && begun(known.pid) === known.begun;
}

/**
 * @param {import("./state.mjs").State} state
 * @param {string} name
 * @returns {{ pid: number, begun: string } | undefined}
 */
function read(state, name) {
  const text = state.read(note(name));
  return text === undefined ? undefined : JSON.parse(text);
}

/**
 * When a process began, in the kernel's count (proc(5), field 22 of stat); undefined when there is none, or it has ended.
 * @param {number} pid
 */
function begun(pid) {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
      .replace(/^.*\) /s, "")
      .split(" ");
    return fields[0] === "Z" ? undefined : fields[19];
  } catch (error) {
    if (codeOf(error) === "ENOENT" || codeOf(error) === "ESRCH") return undefined;
    throw error;
  }
}
