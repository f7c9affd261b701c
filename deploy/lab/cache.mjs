/**
 * The cache of everything that takes long to make or fetch: `${XDG_CACHE_HOME:-~/.cache}/muster/`. An entry is a directory
 * named after what it holds and a hash of its recipe, made beside its place and renamed into it, so that it is whole or
 * absent, and two runs at once do no harm.
 */
import { createHash, randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { codeOf } from "./errors.mjs";

/** The cache directory (not yet made). */
export function cacheDirectory() {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "muster");
}

/**
 * A short hash of a recipe: anything that JSON can print.
 * @param {unknown} recipe
 */
export function recipeHash(recipe) {
  return createHash("sha256").update(JSON.stringify(recipe)).digest("hex").slice(0, 12);
}

/**
 * The directory of a finished entry, or undefined.
 * @param {string} entry
 */
export function cachedPath(entry) {
  const path = join(cacheDirectory(), entry);
  return existsSync(path) ? path : undefined;
}

/**
 * The directory of an entry, made by `build` if it is not there yet. A build that throws leaves nothing.
 * @param {string} entry file name, with the recipe's hash in it
 * @param {(directory: string) => Promise<void>} build fills an empty directory on the same file system
 */
export async function cached(entry, build) {
  const path = join(cacheDirectory(), entry);
  if (existsSync(path)) return path;
  await mkdir(cacheDirectory(), { recursive: true });
  await removeAbandoned();
  const temporary = join(cacheDirectory(), `.new-${process.pid}-${randomBytes(4).toString("hex")}`);
  await mkdir(temporary);
  try {
    await build(temporary);
    await rename(temporary, path);
    await removeOld(entry);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    // Another run was faster: its entry is as good as ours.
    if (!["ENOTEMPTY", "EEXIST"].includes(codeOf(error))) throw error;
  }
  return path;
}

/** How many recipes of one thing stay: clones of different age share the cache. */
const KEPT = 3;

/**
 * Removes the oldest entries that differ from `entry` by their last part, the hash, alone.
 * @param {string} entry
 */
async function removeOld(entry) {
  const prefix = entry.slice(0, entry.lastIndexOf("-") + 1);
  const same = (await readdir(cacheDirectory())).filter(
    (name) => name.startsWith(prefix) && !name.slice(prefix.length).includes("-"),
  );
  const made = await Promise.all(
    same.map(async (name) => ({ name, at: (await stat(join(cacheDirectory(), name))).mtimeMs })),
  );
  made.sort((a, b) => b.at - a.at);
  for (const { name } of made.slice(KEPT))
    await rm(join(cacheDirectory(), name), { recursive: true, force: true });
}

/** Removes half-made entries of runs that were killed. */
async function removeAbandoned() {
  for (const name of await readdir(cacheDirectory())) {
    const pid = /^\.new-(\d+)-/.exec(name)?.[1];
    if (pid !== undefined && !alive(Number(pid)))
      await rm(join(cacheDirectory(), name), { recursive: true, force: true });
  }
}

/** @param {number} pid */
function alive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === "EPERM";
  }
}
