/**
 * A directory that is held open while something in it is changed. What is checked is the directory that was opened, whatever links, renames and mounts
 * the path went through; and what is changed is changed through it, so that nobody can put another in its place in between.
 */
import { constants, readFileSync, readlinkSync } from "node:fs";
import { realpath } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { nextTick } from "node:process";
import { FleetError } from "@muster/protocol/errors";
import { codeOf } from "./files-errors.ts";
import { OpenFile } from "./open-file.ts";

const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY } = constants;

export type Held = {
  /** The path through the open directory: for this process alone. */
  readonly at: string;
  /** The open directory, in the same way. */
  readonly directory: string;
  /** Where the directory truly is, for other programs. */
  readonly where: string;
  sync(): Promise<void>;
  close(): Promise<void>;
};

/** Throws for what must not be changed. `paths`: every path under which the host knows the thing, the true one first. */
export type Refuse = (paths: readonly string[]) => void;

export type Hold = (path: string, link?: "nofollow") => Promise<Held>;

type Directory = {
  readonly file: OpenFile;
  readonly where: string;
  /** Every path of what has this name in it: see `aliasesUnder`. */
  readonly aliases: (name: string) => string[];
  /** Where the prefix truly is. */
  readonly root: string;
};

/** Errors of what it gives: FAILED when the directory is not there, and what `refuse` throws. */
export function createHold(prefix: string, refuse: Refuse): Hold {
  const opening = new Map<string, { readonly opened: Promise<Directory>; users: number }>();

  /** What is to be changed in one directory in one turn of the event loop shares it: a change of many files opens it once. */
  const take = (directory: string, flags: number) => {
    const key = `${flags} ${directory}`;
    const known = opening.get(key);
    const shared = known ?? { opened: openDirectory(directory, flags, prefix), users: 0 };
    if (known === undefined) {
      if (opening.size === 0) nextTick(() => opening.clear());
      opening.set(key, shared);
    }
    shared.users += 1;
    const close = async (): Promise<void> => {
      shared.users -= 1;
      if (shared.users === 0) (await shared.opened).file.close();
    };
    return { opened: shared.opened, close };
  };

  return async (path, link) => {
    const { opened, close } = take(
      dirname(prefix + path),
      O_RDONLY | O_DIRECTORY | (link === undefined ? 0 : O_NOFOLLOW),
    );
    const { file, where, aliases, root } = await opened.catch((error: unknown) => {
      if (codeOf(error) !== "ENOENT") throw error;
      throw new FleetError("FAILED", `${path}: its directory is not there`, { cause: error });
    });
    try {
      const directory = `/proc/self/fd/${file.number}`;
      const name = basename(path);
      refuse(seenFrom(root, aliases(name)));
      return { at: `${directory}/${name}`, directory, where, sync: () => file.sync(), close };
    } catch (error) {
      await close();
      throw error;
    }
  };
}

/** What is asked about it is asked when it is open. */
async function openDirectory(directory: string, flags: number, prefix: string): Promise<Directory> {
  const file = await OpenFile.open(directory, flags);
  try {
    const where = readlinkSync(`/proc/self/fd/${file.number}`);
    const root = prefix === "" ? "" : await realpath(prefix);
    return { file, where, aliases: aliasesUnder(mountsNow(), where), root };
  } catch (error) {
    file.close();
    throw error;
  }
}

/** Without what lies outside of the prefix. */
export const seenFrom = (prefix: string, paths: readonly string[]): string[] =>
  prefix === ""
    ? [...paths]
    : paths.flatMap((path) => (path.startsWith(`${prefix}/`) ? [path.slice(prefix.length)] : []));

/** A file system, or a part of it, and where it is mounted. */
export type Mount = { readonly device: string; readonly root: string; readonly point: string };

let read = { text: "", mounts: [] as readonly Mount[] };

/** What is mounted where, now. The kernel says it from memory: nothing is waited for, and what it said before is not taken apart again. */
export function mountsNow(): readonly Mount[] {
  const text = readFileSync("/proc/self/mountinfo", "utf8");
  if (text !== read.text) read = { text, mounts: mountsIn(text) };
  return read.mounts;
}

/** Reads what is mounted where (proc(5)). */
export function mountsIn(text: string): Mount[] {
  return text.split("\n").flatMap((line) => {
    const [, , device, root, point] = line.split(" ", 5);
    return device === undefined || root === undefined || point === undefined
      ? []
      : [{ device, root: plain(root), point: plain(point) }];
  });
}

/** Every path under which this true path is known too, because its file system is mounted in other places; itself first. Pure. */
export function aliasesIn(mounts: readonly Mount[], path: string): string[] {
  // Of two on one point the later one covers the other.
  const own = mounts.reduce<Mount | null>(
    (best, mount) =>
      below(path, mount.point) !== null && mount.point.length >= (best?.point.length ?? 0) ? mount : best,
    null,
  );
  if (own === null) return [path];
  const inside = join(own.root, below(path, own.point) ?? "");
  const found = mounts.flatMap(({ device, root, point }) => {
    const rest = device === own.device ? below(inside, root) : null;
    return rest === null ? [] : [join(point, rest)];
  });
  return [...new Set([path, ...found])];
}

/** As `aliasesIn` of what has a name in this directory: what all names share is worked out once. Pure. */
export function aliasesUnder(mounts: readonly Mount[], directory: string): (name: string) => string[] {
  const shared = aliasesIn(mounts, directory);
  // A name may be mounted on by itself, or be by itself what is mounted elsewhere.
  const alone = new Set(mounts.flatMap(({ root, point }) => [root, point]).map((path) => basename(path)));
  return (name) =>
    alone.has(name)
      ? aliasesIn(mounts, join(directory, `/${name}`))
      : shared.map((each) => join(each, `/${name}`));
}

/** What comes after `above` in the path, "" for itself; null when it is not below. */
function below(path: string, above: string): string | null {
  if (above === "/") return path === "/" ? "" : path;
  if (path === above) return "";
  return path.startsWith(`${above}/`) ? path.slice(above.length) : null;
}

const join = (above: string, rest: string) =>
  above === "/" ? rest || "/" : above + (rest === "/" ? "" : rest);

/** Spaces and the like stand in it as octal numbers. */
const plain = (text: string) =>
  !text.includes("\\")
    ? text
    : text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
