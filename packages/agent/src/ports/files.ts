/**
 * The file system below a prefix ("" on a real host). All paths are absolute as the host sees them. Files are replaced by rename, never
 * written in place, and never through a link in the last part of the path.
 */
import { constants } from "node:fs";
import {
  type FileHandle,
  lstat,
  mkdir,
  open,
  opendir,
  realpath,
  rename,
  rmdir,
  unlink,
} from "node:fs/promises";
import { basename, dirname } from "node:path";
import { sha256 } from "@muster/protocol/canonical";
import { FleetError } from "@muster/protocol/errors";
import { createAccounts } from "./files-accounts.ts";
import { createHashes } from "./files-hash.ts";
import { watchPaths } from "./files-watch.ts";

export type FileFacts = {
  readonly type: "file" | "directory" | "link" | "other";
  readonly owner: string;
  readonly group: string;
  /** Four octal digits. */
  readonly mode: string;
  readonly size_bytes: number;
  readonly changed_ms: number;
};

export type Attributes = { readonly owner: string; readonly group: string; readonly mode: string };

export type Files = {
  /** Facts without following a link; null when there is nothing. */
  facts(path: string): Promise<FileFacts | null>;
  /**
   * The bytes of a regular file; null when there is nothing. A link in the last part of the path is refused, unless `links` says that it is
   * followed. Errors: TOO_LARGE above `limit_bytes`, FAILED with path and reason.
   */
  read(path: string, limit_bytes: number, links?: "follow"): Promise<Buffer | null>;
  /** SHA-256 of a regular file of any size, without holding it; null when there is nothing or it is more than `limit_bytes`. */
  hash(path: string, limit_bytes: number): Promise<string | null>;
  /**
   * Writes beside the target, sets owner and mode, syncs, calls `before` with the new file's real path, renames. The directory must be
   * there; a target that is a link or anything but a file is refused. What `before` throws leaves everything as it was. `held`: the directory
   * itself must be no link, and is held open meanwhile, so that whoever owns its parent cannot put a link in its place.
   */
  replace(
    path: string,
    content: Uint8Array | AsyncIterable<Uint8Array>,
    attributes: Attributes,
    before?: (candidate: string) => Promise<void>,
    directory?: "held",
  ): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** Errors: FAILED when an agent without root would have to give a file to somebody else. */
  setAttributes(path: string, attributes: Attributes): Promise<void>;
  /** Makes one directory, or sets the attributes of the one that is there. */
  makeDirectory(path: string, attributes: Attributes): Promise<void>;
  /** Removes a file, or an empty directory; nothing there is fine. */
  remove(path: string): Promise<void>;
  /** Names in a directory, in order; none when there is no such directory. Errors: TOO_LARGE above 100,000. */
  list(path: string): Promise<readonly string[]>;
  /** The path with every link in its parent directories followed, as the host sees it; parents that do not exist stand as written. */
  resolve(path: string): Promise<string>;
  /** Writes into a file that is there already, in one write and in place: for the kernel's files below /proc/sys only. */
  writeKernel(path: string, text: string): Promise<void>;
  /** The real path on disk: prefix + path, for commands. */
  real(path: string): string;
  /**
   * Calls `changed` when one of these paths comes, goes or changes, whether its directory exists yet or not; bursts are gathered for 100 ms.
   * `failed` gets what keeps it from watching (such as the kernel's limit of watches); the paths are then only seen by the loop's timer.
   */
  watch(
    paths: readonly string[],
    on: { readonly changed: (path: string) => void; readonly failed: (error: FleetError) => void },
    signal: AbortSignal,
  ): void;
};

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY, O_DIRECTORY, O_TRUNC } = constants;
const LIST_LIMIT = 100_000;
const CHUNK_BYTES = 64 * 1024;
/** A round looks at thousands of files at once; so many are open at a time. */
const OPEN_READS = 64;

/** `prefix` is "" or a directory without a slash at the end. */
export function createFiles(prefix: string): Files {
  const accounts = createAccounts(prefix);
  const real = (path: string) => prefix + path;
  const turns = new Map<string, Promise<unknown>>();
  const hashes = createHashes();
  const gate = { open: 0, waiting: [] as (() => void)[] };

  const gated = async <T>(work: () => Promise<T>): Promise<T> => {
    if (gate.open >= OPEN_READS) await new Promise<void>((resolve) => gate.waiting.push(resolve));
    else gate.open += 1;
    try {
      return await work();
    } finally {
      // A place is handed on, or given back.
      const next = gate.waiting.shift();
      if (next === undefined) gate.open -= 1;
      else next();
    }
  };

  const give = async (handle: FileHandle, path: string, attributes: Attributes): Promise<void> => {
    const uid = await accounts.uid(attributes.owner);
    const gid = await accounts.gid(attributes.group);
    const found = await handle.stat();
    if (found.uid !== uid || found.gid !== gid) {
      try {
        await handle.chown(uid, gid);
      } catch (error) {
        if (codeOf(error) !== "EPERM") throw error;
        const detail = `${path}: the agent does not run as root and cannot give it to ${attributes.owner}:${attributes.group}`;
        throw new FleetError("FAILED", detail, { cause: error });
      }
    }
    // After chown, which takes the set-user bits away.
    await handle.chmod(Number.parseInt(attributes.mode, 8));
  };

  const writeHeld = async (
    path: string,
    content: Uint8Array | AsyncIterable<Uint8Array>,
    attributes: Attributes,
  ): Promise<void> => {
    const handle = await open(dirname(real(path)), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    try {
      await writeBeside(path, `/proc/self/fd/${handle.fd}`, content, attributes, undefined);
    } finally {
      await handle.close();
    }
  };

  const writeBeside = async (
    path: string,
    directory: string,
    content: Uint8Array | AsyncIterable<Uint8Array>,
    attributes: Attributes,
    before: ((candidate: string) => Promise<void>) | undefined,
  ): Promise<void> => {
    const target = `${directory}/${basename(path)}`;
    const found = await statOrNull(target);
    if (found !== null && !found.isFile()) {
      const what = found.isSymbolicLink()
        ? "a link"
        : found.isDirectory()
          ? "a directory"
          : "no regular file";
      throw new FleetError(
        "FAILED",
        `${path} is ${what}: remove it by hand before a file can take its place`,
      );
    }
    // The same name each time, so that a crash leaves at most one behind; hidden, so that no `*.conf` takes it in.
    const candidate = `${directory}/.muster-${sha256(basename(path)).slice(0, 12)}.new`;
    await unlinkIfThere(candidate);
    try {
      const handle = await open(candidate, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
      try {
        if (content instanceof Uint8Array) await handle.writeFile(content);
        else for await (const piece of content) await handle.writeFile(piece);
        await give(handle, path, attributes);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await before?.(candidate);
      await rename(candidate, target);
    } catch (error) {
      await unlinkIfThere(candidate);
      if (codeOf(error) === "ENOENT")
        throw new FleetError("FAILED", `${path}: its directory is not there`, { cause: error });
      throw error;
    }
    await syncDirectory(directory);
  };

  return {
    real,
    facts: (path) =>
      told(path, async () => {
        const found = await statOrNull(real(path));
        if (found === null) return null;
        return {
          type: found.isFile()
            ? "file"
            : found.isDirectory()
              ? "directory"
              : found.isSymbolicLink()
                ? "link"
                : "other",
          owner: await accounts.userName(found.uid),
          group: await accounts.groupName(found.gid),
          mode: (found.mode & 0o7777).toString(8).padStart(4, "0"),
          size_bytes: found.size,
          changed_ms: Math.round(found.mtimeMs),
        };
      }),
    read: (path, limit_bytes, links) =>
      gated(() => told(path, () => readBounded(real(path), path, limit_bytes, links === "follow"))),
    hash: (path, limit_bytes) => gated(() => told(path, () => hashes.of(real(path), path, limit_bytes))),
    async replace(path, content, attributes, before, directory) {
      // Two writers of one path would share the candidate's name.
      const earlier = turns.get(path) ?? Promise.resolve();
      const turn = earlier.then(() =>
        told(path, () =>
          directory === "held"
            ? writeHeld(path, content, attributes)
            : writeBeside(path, dirname(real(path)), content, attributes, before),
        ),
      );
      // The caller has the error; the next in line only needs to know that the turn is over.
      const over = turn.catch(() => undefined);
      turns.set(path, over);
      try {
        await turn;
      } finally {
        if (turns.get(path) === over) turns.delete(path);
      }
    },
    rename: (from, to) =>
      told(from, async () => {
        await rename(real(from), real(to));
        await syncDirectory(dirname(real(to)));
      }),
    setAttributes: (path, attributes) =>
      told(path, async () => {
        const handle = await open(real(path), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
        try {
          await give(handle, path, attributes);
        } finally {
          await handle.close();
        }
      }),
    makeDirectory: (path, attributes) =>
      told(path, async () => {
        const found = await statOrNull(real(path));
        if (found !== null && !found.isDirectory())
          throw new FleetError("FAILED", `${path} is there and is no directory: remove it by hand first`);
        if (found === null) await mkdir(real(path), 0o700);
        const handle = await open(real(path), O_RDONLY | O_NOFOLLOW | O_DIRECTORY);
        try {
          await give(handle, path, attributes);
        } finally {
          await handle.close();
        }
        await syncDirectory(dirname(real(path)));
      }),
    remove: (path) =>
      told(path, async () => {
        const found = await statOrNull(real(path));
        if (found === null) return;
        if (found.isDirectory()) await rmdir(real(path));
        else await unlink(real(path));
        await syncDirectory(dirname(real(path)));
      }),
    list: (path) =>
      told(path, async () => {
        const names: string[] = [];
        try {
          for await (const entry of await opendir(real(path))) {
            if (names.length >= LIST_LIMIT)
              throw new FleetError("TOO_LARGE", `${path} holds more than ${LIST_LIMIT} names`);
            names.push(entry.name);
          }
        } catch (error) {
          if (!isMissing(error)) throw error;
        }
        return names.sort();
      }),
    resolve: (path) =>
      told(path, async () => {
        const root = prefix === "" ? "" : await realpath(prefix);
        let rest = `/${basename(path)}`;
        for (let at = dirname(path); ; at = dirname(at)) {
          const found = await realpathOrNull(prefix === "" ? at : prefix + at);
          if (found === null) {
            rest = `/${basename(at)}${rest}`;
            continue;
          }
          if (root !== "" && found !== root && !found.startsWith(`${root}/`))
            throw new FleetError("FAILED", `${path} leads out of ${prefix} by a link`);
          const inside = found.slice(root.length);
          return (inside === "/" ? "" : inside) + rest;
        }
      }),
    writeKernel: (path, text) =>
      told(path, async () => {
        if (!path.startsWith("/proc/sys/") || path.includes("/../"))
          throw new FleetError("INVALID", `${path} is no file of the kernel's parameters`);
        const handle = await open(real(path), O_WRONLY | O_NOFOLLOW | O_TRUNC);
        try {
          await handle.write(text);
        } finally {
          await handle.close();
        }
      }),
    watch: (paths, on, signal) => watchPaths(paths, real, on, signal),
  };
}

async function readBounded(
  real: string,
  path: string,
  limit_bytes: number,
  follow: boolean,
): Promise<Buffer | null> {
  let handle: FileHandle;
  try {
    // Without O_NONBLOCK a fifo would hang the agent.
    handle = await open(real, O_RDONLY | O_NONBLOCK | (follow ? 0 : O_NOFOLLOW));
  } catch (error) {
    if (isMissing(error)) return null;
    if (!follow && codeOf(error) === "ELOOP")
      throw new FleetError("FAILED", `${path} is a link, and no file is read through one`, { cause: error });
    throw error;
  }
  try {
    if (!(await handle.stat()).isFile()) throw new FleetError("FAILED", `${path} is no regular file`);
    const chunks: Buffer[] = [];
    let size = 0;
    // Files of the kernel say that they have no bytes: only reading tells.
    for (;;) {
      const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
      const { bytesRead } = await handle.read(chunk, 0, CHUNK_BYTES, null);
      if (bytesRead === 0) return Buffer.concat(chunks, size);
      size += bytesRead;
      if (size > limit_bytes) throw new FleetError("TOO_LARGE", `${path} has more than ${limit_bytes} bytes`);
      chunks.push(chunk.subarray(0, bytesRead));
    }
  } finally {
    await handle.close();
  }
}

/** Every error of the file system, told with the path as the host sees it. */
async function told<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof FleetError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new FleetError("FAILED", `${path}: ${why}`, { cause: error });
  }
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, O_RDONLY | O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function statOrNull(real: string) {
  try {
    return await lstat(real);
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

async function realpathOrNull(real: string): Promise<string | null> {
  try {
    return await realpath(real);
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

async function unlinkIfThere(real: string): Promise<void> {
  try {
    await unlink(real);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}

const codeOf = (error: unknown) => (error instanceof Error && "code" in error ? error.code : null);
const isMissing = (error: unknown) => codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR";
