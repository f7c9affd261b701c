/**
 * Installs Debian or Ubuntu packages that the set-up lacks, and says so. Elsewhere, and without root, it names exactly what
 * to install and stops with exit code 2.
 */
import { readFileSync } from "node:fs";
import { run, which } from "./command.mjs";
import { codeOf, SetupError } from "./errors.mjs";

/** Whether this is Debian, Ubuntu or a child of them, with apt. */
export function hasApt() {
  if (which("apt-get") === undefined) return false;
  try {
    return /^(ID|ID_LIKE)=.*\b(debian|ubuntu)\b/m.test(readFileSync("/etc/os-release", "utf8"));
  } catch (error) {
    if (codeOf(error) === "ENOENT") return false;
    throw error;
  }
}

/**
 * Installs packages by apt.
 * @param {string[]} names
 * @param {string} why ends the line that people see: "installing docker.io (a Docker engine for the lab)"
 * @param {import("./progress.mjs").Progress} progress
 */
export async function installPackages(names, why, progress) {
  const list = names.join(" ");
  if (!hasApt()) {
    throw new SetupError(
      `${list} needed (${why}). Install it with your package manager and run this again.`,
      { exit_code: 2 },
    );
  }
  if (process.getuid?.() !== 0) {
    throw new SetupError(`${list} needed (${why}). Run: sudo apt-get install ${list}`, { exit_code: 2 });
  }
  progress.say(`installing ${list} by apt (${why})`);
  await progress.step(`apt-get install ${list}`, { usually_s: 40 }, async (note) => {
    note("reading package lists");
    const update = await apt(["update", "-q"]);
    note("installing");
    const install = await apt(["install", "-y", "-q", "--no-install-recommends", ...names]);
    if (install.code === 0) return;
    const said = `${update.code === 0 ? "" : update.stderr}${install.stderr}`
      .trim()
      .split("\n")
      .slice(-8)
      .join("\n");
    throw new SetupError(`apt-get install ${list} failed:\n${said}\nInstall it by hand and run this again.`, {
      exit_code: 2,
    });
  });
}

/** @param {string[]} args waits up to 2 min for another apt to finish */
function apt(args) {
  return run("apt-get", ["-o", "DPkg::Lock::Timeout=120", ...args], {
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    timeout_ms: 900_000,
  });
}
