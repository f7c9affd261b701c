/**
 * Watches paths by inotify on their directories (fs.watch): a file that is replaced by rename would leave a watch on its old inode. A
 * directory that does not exist yet is waited for in the nearest ancestor that does. Limits: an ancestor further up that is renamed is only
 * noticed at the next event or by the loop's own timer.
 */
import { type FSWatcher, statSync, watch } from "node:fs";
import { basename, dirname } from "node:path";
import { FleetError } from "@muster/protocol/errors";

export type WatchListener = {
  readonly changed: (path: string) => void;
  readonly failed: (error: FleetError) => void;
};

const GATHER_MS = 100;

/** `real` turns a path of the host into the one on disk; listeners get the path as it was given. */
export function watchPaths(
  paths: readonly string[],
  real: (path: string) => string,
  on: WatchListener,
  signal: AbortSignal,
): void {
  /** What a name in a watched directory stands for: the path itself, and those to which a directory of that name leads. */
  const leads = new Map<string, Map<string, string[]>>();
  const watchers = new Map<string, { readonly watcher: FSWatcher; readonly identity: string }>();
  const dirty = new Set<string>();
  /** What was to be watched at the last settling, and whether a name has moved since that leads on: most of what happens is to the paths themselves. */
  let wanted = new Map<string, string>();
  let moved = false;
  let timer: NodeJS.Timeout | null = null;
  if (signal.aborted) return;

  const flush = () => {
    timer = null;
    if (moved || isStale()) settle();
    moved = false;
    const gathered = [...dirty];
    dirty.clear();
    for (const path of gathered) on.changed(path);
  };

  const touched = (directory: string, name: string | null) => {
    const names = leads.get(directory);
    // Without a name, or with the directory's own, it may be any of them.
    const all = name === null || name === basename(directory);
    const meant = all ? [...(names?.values() ?? [])].flat() : (names?.get(name) ?? []);
    for (const path of meant) {
      dirty.add(path);
      moved ||= all || dirname(real(path)) !== directory;
    }
    if (dirty.size > 0) timer ??= setTimeout(flush, GATHER_MS);
  };

  const drop = (directory: string) => {
    watchers.get(directory)?.watcher.close();
    watchers.delete(directory);
  };

  /** A directory that could not be watched, or whose ancestor was renamed, which makes no event. */
  const isStale = () =>
    [...wanted].some(
      ([directory, identity]) => !watchers.has(directory) || nearest(directory)[1] !== identity,
    );

  /** Brings the watches in line with what exists now. Paths whose directory came or was replaced are dirty. */
  const settle = () => {
    wanted = new Map();
    for (const parent of new Set(paths.map((path) => dirname(real(path))))) {
      const [directory, identity] = nearest(parent);
      wanted.set(directory, identity);
    }
    leads.clear();
    for (const path of paths) {
      for (let at = real(path); at !== "/"; at = dirname(at)) {
        const names = wanted.has(dirname(at))
          ? (leads.get(dirname(at)) ?? new Map<string, string[]>())
          : null;
        if (names === null) continue;
        leads.set(dirname(at), names.set(basename(at), [...(names.get(basename(at)) ?? []), path]));
      }
    }
    for (const [directory, { identity }] of watchers) {
      if (wanted.get(directory) !== identity) drop(directory);
    }
    for (const [directory, identity] of wanted) {
      if (watchers.has(directory)) continue;
      try {
        const watcher = watch(directory, { persistent: false }, (_event, name) => touched(directory, name));
        watcher.on("error", (error) => {
          drop(directory);
          on.failed(cannotWatch(directory, error));
        });
        watchers.set(directory, { watcher, identity });
      } catch (error) {
        on.failed(cannotWatch(directory, error));
        continue;
      }
      // What came between looking and watching has made no event.
      for (const path of paths) if (dirname(real(path)) === directory && started) dirty.add(path);
    }
  };

  let started = false;
  settle();
  started = true;
  signal.addEventListener(
    "abort",
    () => {
      if (timer !== null) clearTimeout(timer);
      for (const directory of [...watchers.keys()]) drop(directory);
    },
    { once: true },
  );
}

/** The directory itself, or the nearest one above that exists, with what tells it from a later one of the same name. */
function nearest(directory: string): [string, string] {
  for (let at = directory; ; at = dirname(at)) {
    const found = statSync(at, { throwIfNoEntry: false, bigint: true });
    if (found?.isDirectory() === true) return [at, `${found.dev}:${found.ino}`];
    if (at === "/") return ["/", "root"];
  }
}

function cannotWatch(directory: string, error: unknown): FleetError {
  const why = error instanceof Error ? error.message : String(error);
  return new FleetError("FAILED", `${directory} cannot be watched: ${why}`, { cause: error });
}
