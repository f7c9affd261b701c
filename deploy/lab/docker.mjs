/**
 * Makes sure that a Docker engine answers: one that runs, else installs and starts one (Debian and Ubuntu, as root), through
 * systemd where there is one, else by hand.
 */
import { spawn } from "node:child_process";
import { closeSync, existsSync, openSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { cacheDirectory } from "./cache.mjs";
import { ensureCgroups } from "./cgroups.mjs";
import { must, run, which } from "./command.mjs";
import { SetupError } from "./errors.mjs";
import { installPackages } from "./packages.mjs";

const START_MS = 45_000;

/**
 * @typedef {object} Engine
 * @property {string} version
 * @property {1 | 2} cgroup_version
 * @property {boolean} apparmor whether it confines containers by AppArmor
 */

/**
 * Calls the docker command; a non-zero exit throws.
 * @param {string[]} args
 * @param {import("./command.mjs").RunOptions} [options]
 */
export function docker(args, options) {
  return must("docker", args, options);
}

/**
 * Makes sure that an engine answers.
 * @param {import("./progress.mjs").Progress} progress
 * @returns {Promise<Engine>}
 */
export async function ensureDocker(progress) {
  const running = await inspectEngine();
  if (running.engine !== undefined) return running.engine;
  if (process.getuid?.() !== 0) {
    throw new SetupError(
      `No Docker engine answers (${running.why}). Install and start one (Debian, Ubuntu: sudo apt-get install docker.io), ` +
        "or run this as root, and it is done for you.",
      { exit_code: 2 },
    );
  }
  if (which("dockerd", ["/usr/sbin", "/usr/local/sbin"]) === undefined) {
    await installPackages(["docker.io"], "the Docker engine that the lab's servers run on", progress);
  }
  if (which("docker") === undefined) await installPackages(["docker-cli"], "the docker command", progress);
  return await progress.step("Docker engine", { usually_s: 5 }, async (note) => {
    note("starting");
    if (existsSync("/run/systemd/system")) return await startBySystemd();
    await ensureCgroups();
    return (await startByHand([])) ?? (await startByHand(["--storage-driver", "vfs"])) ?? (await giveUp());
  });
}

/** Whether this person can have an engine: one answers, or root may start one. */
export async function dockerIsToBeHad() {
  return process.getuid?.() === 0 || (await inspectEngine()).engine !== undefined;
}

/** @returns {Promise<{ engine?: Engine, why: string }>} */
async function inspectEngine() {
  if (which("docker") === undefined) return { why: "there is no docker command" };
  const info = await run("docker", ["info", "--format", "{{json .}}"], { timeout_ms: 15_000 });
  const answer = info.code === 0 ? JSON.parse(info.stdout) : {};
  if (!answer.ServerVersion) return { why: (answer.ServerErrors ?? [info.stderr.trim()]).join("; ") };
  const engine = {
    version: answer.ServerVersion,
    cgroup_version: answer.CgroupVersion === "2" ? /** @type {const} */ (2) : /** @type {const} */ (1),
    apparmor: (answer.SecurityOptions ?? []).some((/** @type {string} */ option) =>
      option.includes("apparmor"),
    ),
  };
  return { engine, why: "" };
}

async function startBySystemd() {
  const start = await run("systemctl", ["start", "docker.service"], { timeout_ms: 90_000 });
  const { engine, why } = await inspectEngine();
  if (engine !== undefined) return engine;
  throw new SetupError(`systemctl start docker: ${start.stderr.trim() || why}. See: journalctl -u docker`);
}

/**
 * Starts dockerd as a process of its own that outlives this one.
 * @param {string[]} args
 * @returns {Promise<Engine | undefined>} undefined when it ended again or does not answer
 */
async function startByHand(args) {
  const program = which("dockerd", ["/usr/sbin", "/usr/local/sbin"]);
  if (program === undefined)
    throw new SetupError("docker.io is installed, but there is no dockerd on PATH", { exit_code: 2 });
  await mkdir(cacheDirectory(), { recursive: true });
  const log = openSync(logPath(), "a", 0o600);
  const child = spawn(program, args, { detached: true, stdio: ["ignore", log, log] });
  closeSync(log);
  let ended = false;
  child.once("error", () => {
    ended = true;
  });
  child.once("exit", () => {
    ended = true;
  });
  child.unref();
  for (const deadline = Date.now() + START_MS; Date.now() < deadline && !ended; await sleep(250)) {
    const { engine } = await inspectEngine();
    if (engine !== undefined) return engine;
  }
  if (!ended) child.kill("SIGTERM");
  return undefined;
}

/** @returns {Promise<never>} */
async function giveUp() {
  const tail = (await readFile(logPath(), "utf8")).trim().split("\n").slice(-6).join("\n");
  throw new SetupError(`dockerd does not start here; the end of ${logPath()}:\n${tail}`, { exit_code: 2 });
}

function logPath() {
  return join(cacheDirectory(), "dockerd.log");
}
