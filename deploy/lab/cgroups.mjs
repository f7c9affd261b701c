/**
 * Mounts the control groups where nothing did (a machine without an init): dockerd and the systemd in every lab server
 * need them. Does what Debian's cgroupfs-mount does, and adds the `name=systemd` hierarchy.
 */
import { mkdir, readFile } from "node:fs/promises";
import { must } from "./command.mjs";

const ROOT = "/sys/fs/cgroup";

/** Mounts what is missing; a machine with cgroup v2 at the root is left as it is. Needs root. */
export async function ensureCgroups() {
  const mounts = parseMounts(await readFile("/proc/mounts", "utf8"));
  if (mounts.some((m) => m.type === "cgroup2" && m.path === ROOT)) return;
  const version1 = mounts.filter((m) => m.type === "cgroup");
  if (version1.length === 0) {
    const controllers = parseControllers(await readFile("/proc/cgroups", "utf8"));
    if (controllers.length === 0) {
      await must("mount", ["-t", "cgroup2", "cgroup2", ROOT]);
      return;
    }
    if (!mounts.some((m) => m.path === ROOT))
      await must("mount", ["-t", "tmpfs", "-o", "mode=755", "cgroup", ROOT]);
    for (const name of controllers) await mountHierarchy(name, name);
  }
  if (!version1.some((m) => m.options.includes("name=systemd")))
    await mountHierarchy("systemd", "none,name=systemd");
}

/**
 * @param {string} name
 * @param {string} options
 */
async function mountHierarchy(name, options) {
  await mkdir(`${ROOT}/${name}`, { recursive: true });
  await must("mount", ["-t", "cgroup", "-o", options, "cgroup", `${ROOT}/${name}`]);
}

/**
 * Mounts as proc(5) prints them.
 * @param {string} text
 * @returns {{ path: string, type: string, options: string[] }[]}
 */
export function parseMounts(text) {
  return text
    .split("\n")
    .filter(Boolean)
    .map((line) => {
      const [, path = "", type = "", options = ""] = line.split(" ");
      return { path, type, options: options.split(",") };
    });
}

/**
 * The enabled version 1 controllers in /proc/cgroups: `name hierarchy groups enabled`.
 * @param {string} text
 */
export function parseControllers(text) {
  const rows = text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.split(/\s+/));
  return rows.filter((row) => row[3] === "1").map((row) => row[0] ?? "");
}
