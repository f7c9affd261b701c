/** Files that `ctl` keeps: private to the person (0600 in 0700), written whole or not at all. */
import { randomBytes } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";

/** How a file is called until it is whole. */
const UNFINISHED = /\.[0-9a-f]{12}$/;

/** The text of a file, or null when there is none. Other errors of the file system as they come. */
export async function readText(path: string): Promise<string | null> {
  return (await readBytes(path))?.toString("utf8") ?? null;
}

async function readBytes(path: string): Promise<Buffer | null> {
  try {
    return await readFile(path);
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR"))
      return null;
    throw error;
  }
}

/** Writes beside the file and renames, so that a crash leaves the old text or the new one. Directories are made as needed, 0700. */
export async function writeText(path: string, text: string | Uint8Array, mode = 0o600): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const beside = `${path}.${randomBytes(6).toString("hex")}`;
  try {
    const file = await open(beside, "wx", mode);
    try {
      // The mode is the caller's word, whatever the umask of a shell or a unit.
      await file.chmod(mode);
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
}

/** As `writeText`; false when the file holds this text already. */
export async function writeChanged(path: string, text: string | Uint8Array, mode = 0o600): Promise<boolean> {
  const before = await readBytes(path);
  if (before !== null && Buffer.from(text).equals(before)) return false;
  await writeText(path, text, mode);
  return true;
}

/** Removes what writes that were killed left below a directory, keys among it. For whoever is the only one to write there. */
export async function removeUnfinished(directory: string): Promise<void> {
  const names = await readdir(directory, { recursive: true });
  const left = names.filter((name) => UNFINISHED.test(name));
  await Promise.all(left.map((name) => rm(join(directory, name), { force: true })));
}
