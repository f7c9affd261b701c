/**
 * Small JSON files of the agent's own, written so that a crash or power cut at any moment leaves the old or the new one: written beside,
 * synced, renamed, directory synced. The version before stays beside it for the case that the disk itself damages the file. Opening and syncing are a thread's work, where a disk
 * that hangs is met; what comes right after them is done at once.
 */
import {
  chmodSync,
  constants,
  linkSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { mkdir, readFile, rename, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { FleetError, parseJson } from "@muster/protocol/errors";
import type { z } from "zod";
import { OpenFile } from "./ports/open-file.ts";

const { O_CREAT, O_RDONLY, O_TRUNC, O_WRONLY } = constants;

/** Of more the kernel may make its writer wait. */
const AT_ONCE_BYTES = 64 * 1024;

export type Kept<T> = {
  readonly value: T;
  /** Set when the newest version could not be read, or is gone while the one before is there: what was wrong with it. */
  readonly damaged: string | null;
};

const previousOf = (path: string) => `${path}.previous`;

/**
 * What a file that is gone means, while the one before is there: that the disk lost it, since once written it is always there; or, of one that people take away
 * to be rid of what it says, that there is nothing.
 */
export type WhenGone = "previous" | "nothing";

/**
 * Reads a file by its schema, or the version before it; null when there is neither. Errors: FAILED when it exists and cannot be opened, or when neither can be read: it is then set
 * aside, for people; the caller begins anew and must say so.
 */
export async function readKept<S extends z.ZodType>(
  path: string,
  schema: S,
  when_gone: WhenGone = "previous",
): Promise<Kept<z.output<S>> | null> {
  const { value, damaged } = await lookAtKept(path, schema, when_gone);
  if (value !== null) return { value, damaged };
  if (damaged === null) return null;
  await rename(path, `${path}.damaged`).catch(ignoreMissing);
  throw new FleetError("FAILED", `${damaged}; it was set aside as ${path}.damaged`);
}

/** As `readKept` for who only looks: what cannot be read stays where it is, and `damaged` says why. */
export async function lookAtKept<S extends z.ZodType>(
  path: string,
  schema: S,
  when_gone: WhenGone = "previous",
): Promise<{ readonly value: z.output<S> | null; readonly damaged: string | null }> {
  let damaged: string | null = null;
  for (const file of [path, previousOf(path)]) {
    const text = await textOf(file);
    if (text === null && file === path && when_gone === "nothing") break;
    if (text === null) continue;
    try {
      const value = parseJson(schema, text, file);
      const lost = file === path ? null : `${path} is not there`;
      return { value, damaged: damaged ?? lost };
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      damaged ??= error.detail;
    }
  }
  return { value: null, damaged };
}

/** Replaces a file, mode 0600. Errors: FAILED with the system's words, such as a disk that is full; the file is then as before. */
export async function writeKept(path: string, value: unknown): Promise<void> {
  const text = typeof value === "string" ? value : `${JSON.stringify(value)}\n`;
  const before = () => {
    unlessMissing(() => unlinkSync(previousOf(path)));
    unlessMissing(() => linkSync(path, previousOf(path)));
  };
  await replace(path, text, { mode: 0o600, synced: true, before });
}

/** Writes a file that has no version before, mode 0600 unless told. Errors: FAILED. */
export async function writeSynced(path: string, text: string | Uint8Array, mode = 0o600): Promise<void> {
  await replace(path, text, { mode, synced: true });
}

/** As `writeSynced` for what is of no use after a crash: whole for every reader, and nobody waits for the disk. */
export async function writeWhole(path: string, text: string): Promise<void> {
  await replace(path, text, { mode: 0o600, synced: false });
}

/** As `writeWhole`, at once: for a directory in memory, as all of /run is, where nothing waits for a disk and four ways to a thread and back are most of the work. */
export function writeInMemory(path: string, text: string): void {
  const beside = `${path}.new`;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeFileSync(beside, text, { mode: 0o600 });
    chmodSync(beside, 0o600);
    renameSync(beside, path);
  } catch (cause) {
    try {
      rmSync(beside, { force: true });
    } catch {
      // What refuses this too has said why already.
    }
    throw failed(path, cause);
  }
}

async function replace(
  path: string,
  text: string | Uint8Array,
  { mode, synced, before }: { mode: number; synced: boolean; before?: () => void },
): Promise<void> {
  const beside = `${path}.new`;
  try {
    const file = await openIn(dirname(path), beside, mode);
    try {
      // One that a crash left behind may have another.
      if ((Number(file.facts().mode) & 0o7777) !== mode) await file.chmod(mode);
      const bytes = typeof text === "string" ? Buffer.from(text) : text;
      if (synced && bytes.length <= AT_ONCE_BYTES) file.writeAtOnce(bytes);
      else await file.write(bytes);
      if (synced) await file.sync();
    } finally {
      file.close();
    }
    before?.();
    renameSync(beside, path);
    if (synced) await syncDirectory(dirname(path));
  } catch (cause) {
    // On a full disk half a file would take what others need. A disk that refuses this too has said why already.
    await unlink(beside).catch(() => undefined);
    throw failed(path, cause);
  }
}

const failed = (path: string, cause: unknown): FleetError =>
  new FleetError("FAILED", `${path}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });

/** Opens for writing; the directory is made when it is not there yet. */
async function openIn(directory: string, path: string, mode: number): Promise<OpenFile> {
  const open = () => OpenFile.open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
  try {
    return await open();
  } catch (error) {
    if (!isMissing(error)) throw error;
    await mkdir(directory, { recursive: true, mode: 0o700 });
    return open();
  }
}

/** Makes renames and removals in a directory last. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await OpenFile.open(path, O_RDONLY);
  try {
    await directory.sync();
  } finally {
    directory.close();
  }
}

/** That there is none, as mostly, the kernel says from memory: to hear it from a thread, as an error, takes twenty times as long. */
async function textOf(path: string): Promise<string | null> {
  try {
    if (statSync(path, { throwIfNoEntry: false }) === undefined) return null;
    return await readFile(path, "utf8");
  } catch (cause) {
    if (isMissing(cause)) return null;
    throw failed(path, cause);
  }
}

export const isMissing = (error: unknown): boolean => hasCode(error, "ENOENT");

/** Whether it is the system's error of that name, such as `ENOTEMPTY`. */
export function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}

function ignoreMissing(error: unknown): void {
  if (!isMissing(error)) throw error;
}

function unlessMissing(work: () => void): void {
  try {
    work();
  } catch (error) {
    ignoreMissing(error);
  }
}
