/**
 * The only file here that touches the disk: finds the fleet folder and reads it into memory. A symbolic link that leaves the
 * folder is refused, since its target would be sent to servers unseen.
 */
import { readdir, readFile, realpath, stat } from "node:fs/promises";
import { dirname, join, resolve, sep } from "node:path";
import { BLOB_BYTES } from "@muster/protocol/blob";
import { FleetError } from "@muster/protocol/errors";
import type { Problems } from "./problem.ts";

/** Of what is read as a file of the folder's own form. */
export const MAX_FILE_BYTES = 1 << 20;
/** Of all that is copied to servers. */
const MAX_COPIED_BYTES = 512 << 20;
export const MAX_FILES = 10_000;

/** What belongs to a fleet folder; anything else beside it is not read. */
const TOP = ["muster.yml", "hosts.yml", "hosts.yaml", "images.lock", "alerts.yml", "monitoring.yml"];
/** What in these is no text, or larger, is sent by its hash. */
const COPIED = /^(templates|files)\//;
const FOLDERS = ["group_vars", "host_vars", "resources", "templates", "files"];

export interface Folder {
  /** Absolute path. */
  readonly root: string;
  /** Path below the root, with `/`, → text; null for a file that is not UTF-8 text. */
  readonly files: ReadonlyMap<string, string | null>;
  /** What of templates/ and files/ is no text. */
  readonly bytes: ReadonlyMap<string, Uint8Array>;
}

/**
 * The nearest folder upward from `from` that has a `muster.yml`, as git finds its repository; null if there is none. A repository that holds more
 * than the fleet keeps it in `inventory/`, and there it is found from the repository's root, too.
 */
export async function findFleetFolder(from: string): Promise<string | null> {
  for (let folder = resolve(from); ; folder = dirname(folder)) {
    if (await isFile(join(folder, "muster.yml"))) return folder;
    if (await isFile(join(folder, "inventory", "muster.yml"))) return join(folder, "inventory");
    if (folder === dirname(folder)) return null;
  }
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch (error) {
    if (missing(error)) return false;
    throw error;
  }
}

function missing(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR");
}

/**
 * Reads a fleet folder.
 *
 * @throws FleetError NOT_FOUND without muster.yml there; errors of the file system as they come
 */
export async function readFolder(path: string, problems: Problems): Promise<Folder> {
  const root = await realpath(path).catch((cause: unknown) => {
    throw new FleetError("NOT_FOUND", `no folder ${path}`, { cause });
  });
  if (!(await isFile(join(root, "muster.yml"))))
    throw new FleetError(
      "NOT_FOUND",
      `${path} is not a fleet folder: it has no muster.yml (\`ctl new\` writes one)`,
    );
  const paths: string[] = [];
  for (const name of TOP) if (await isFile(join(root, name))) paths.push(name);
  for (const name of FOLDERS) await list(root, name, paths);
  if (paths.length > MAX_FILES)
    problems.add({ file: "muster.yml", line: 1, column: 1 }, `the folder has over ${MAX_FILES} files`);
  const files = new Map<string, string | null>();
  const bytes = new Map<string, Uint8Array>();
  let left = MAX_COPIED_BYTES;
  for (const file of paths.slice(0, MAX_FILES)) {
    const limit = COPIED.test(file) ? Math.min(BLOB_BYTES, left) : MAX_FILE_BYTES;
    const content = await read(root, file, limit, problems);
    if (content === undefined) continue;
    if (COPIED.test(file)) left -= content.length;
    const text = textOf(content);
    files.set(file, text);
    if (text === null && COPIED.test(file)) bytes.set(file, content);
  }
  return { root, files, bytes };
}

async function list(root: string, folder: string, paths: string[]): Promise<void> {
  const entries = await readdir(join(root, folder), { withFileTypes: true }).catch((error: unknown) => {
    if (missing(error)) return [];
    throw error;
  });
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    if (paths.length > MAX_FILES) return;
    const path = `${folder}/${entry.name}`;
    // Editors leave such files behind; Ansible skips them too.
    if (entry.name === ".git" || entry.name.endsWith("~") || entry.name.endsWith(".swp")) continue;
    const isFolder = entry.isSymbolicLink() ? !(await isFile(join(root, path))) : entry.isDirectory();
    if (isFolder && !entry.isSymbolicLink()) await list(root, path, paths);
    else paths.push(path);
  }
}

/** The bytes; undefined with the problem noted. */
async function read(
  root: string,
  file: string,
  limit_bytes: number,
  problems: Problems,
): Promise<Buffer | undefined> {
  const at = { file, line: 1, column: 1 };
  const real = await realpath(join(root, file)).catch((error: unknown) => {
    if (missing(error)) return null;
    throw error;
  });
  if (real === null) problems.add(at, "this symbolic link leads nowhere");
  else if (!real.startsWith(root + sep))
    problems.add(at, "this symbolic link leaves the fleet folder", "copy the file");
  if (real === null || !real.startsWith(root + sep)) return undefined;
  const info = await stat(real);
  if (!info.isFile()) {
    problems.add(at, "this is not a plain file");
    return undefined;
  }
  if (info.size > limit_bytes) {
    const over_all = COPIED.test(file) && info.size <= BLOB_BYTES;
    const what = over_all
      ? `templates/ and files/ have more than ${MAX_COPIED_BYTES} bytes`
      : `the file has ${info.size} bytes; the limit is ${limit_bytes}`;
    problems.add(at, what);
    return undefined;
  }
  return readFile(real);
}

/** Null for what is not UTF-8. */
function textOf(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) return null;
    throw error;
  }
}
