/**
 * Brings node_modules in line with package-lock.json, and only when it is not: compares what npm says it installed
 * (node_modules/.package-lock.json) with what the lock file wants, by content, so that no clock is involved.
 * Uses Node alone: it runs before anything is installed.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, lstatSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Longest an install may take; a cold cache over a slow line needs minutes. */
const LIMIT_MS = 600_000;

/** Holds the hash of the lock file that was last installed: a lock file wider than the packages would install for ever. */
const STAMP = "node_modules/.muster-installed";

/**
 * Why an install is needed, as a phrase, or undefined when node_modules holds what the lock file wants.
 * An optional package (another platform's binary) may be absent. A node_modules that is a link belongs to another
 * tree, and `npm ci` would empty it there: it is taken as it is.
 */
export function reasonToInstall(root) {
  const installed_file = join(root, "node_modules", ".package-lock.json");
  if (!existsSync(installed_file)) return "node_modules is missing";
  if (lstatSync(join(root, "node_modules")).isSymbolicLink()) return undefined;
  if (existsSync(join(root, STAMP)) && readFileSync(join(root, STAMP), "utf8") === lockHash(root))
    return undefined;
  const wanted = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
  const installed = JSON.parse(readFileSync(installed_file, "utf8")).packages;
  for (const [path, entry] of Object.entries(wanted)) {
    if (!path.startsWith("node_modules/") && !path.includes("/node_modules/")) continue;
    const have = installed[path];
    if (have === undefined && entry.optional) continue;
    if (have === undefined) return `${path} is not installed`;
    if (have.version !== entry.version)
      return `${path} is ${have.version}, the lock file wants ${entry.version}`;
    if (!existsSync(join(root, path))) return `${path} is gone`;
  }
  return undefined;
}

/** Runs `npm ci` in `root` with its output shown; throws when it fails. */
export function install(root) {
  const done = spawnSync("npm", ["ci"], { cwd: root, stdio: "inherit", timeout: LIMIT_MS });
  if (done.error) throw new Error(`npm ci did not run: ${done.error.message}`, { cause: done.error });
  if (done.status !== 0) throw new Error(`npm ci ended with ${done.signal ?? `exit code ${done.status}`}`);
  writeFileSync(join(root, STAMP), lockHash(root));
}

function lockHash(root) {
  return createHash("sha256")
    .update(readFileSync(join(root, "package-lock.json")))
    .digest("hex");
}
