/**
 * A directory that is held open while something in it is changed. What is checked is the directory that was opened, whatever links, renames and mounts
 * the path went through; and what is changed is changed through it, so that nobody can put another in its place in between.
 */
import { constants } from "node:fs";
import { type FileHandle, open, readFile, readlink, realpath } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { FleetError } from "@muster/protocol/errors";
import { codeOf } from "./files-errors.ts";

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

/** Errors of what it gives: FAILED when the directory is not there, and what `refuse` throws. */
export function createHold(prefix: string, refuse: Refuse): Hold {
  return async (path, link) => {
    let handle: FileHandle;
    try {
      handle = await open(
        dirname(prefix + path),
        O_RDONLY | O_DIRECTORY | (link === undefined ? 0 : O_NOFOLLOW),
      );
    } catch (error) {
      if (codeOf(error) !== "ENOENT") throw error;
      throw new FleetError("FAILED", `${path}: its directory is not there`, { cause: error });
    }
    try {
      const directory = `/proc/self/fd/${handle.fd}`;
      const where = await readlink(directory);
      const name = basename(path);
      const [mounted, root] = await Promise.all([mountinfo(), prefix === "" ? "" : realpath(prefix)]);
      refuse(seenFrom(root, aliasesIn(mounted, where === "/" ? `/${name}` : `${where}/${name}`)));
      return {
        at: `${directory}/${name}`,
        directory,
        where,
        sync: () => handle.sync(),
        close: () => handle.close(),
      };
    } catch (error) {
      await handle.close();
      throw error;
    }
  };
}

/** Without what lies outside of the prefix. */
export const seenFrom = (prefix: string, paths: readonly string[]): string[] =>
  prefix === ""
    ? [...paths]
    : paths.flatMap((path) => (path.startsWith(`${prefix}/`) ? [path.slice(prefix.length)] : []));

/** What is mounted where (proc(5)), for `aliasesIn`. */
export const mountinfo = (): Promise<string> => readFile("/proc/self/mountinfo", "utf8");

/** Every path under which this true path is known too, because its file system is mounted in other places; itself first. Pure. */
export function aliasesIn(mounted: string, path: string): string[] {
  const mounts = mounted.split("\n").flatMap((line) => {
    const [, , device, root, point] = line.split(" ");
    return device === undefined || root === undefined || point === undefined
      ? []
      : [{ device, root: plain(root), point: plain(point) }];
  });
  // Of two on one point the later one covers the other.
  const own = mounts.reduce<(typeof mounts)[number] | null>(
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
  text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
