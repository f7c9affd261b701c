/**
 * The file system below a prefix ("" on a real host). All paths are absolute as the host sees them. Files are replaced by rename, never
 * written in place, and never through a link in the last part of the path.
 */
import { type BigIntStats, constants } from "node:fs";
import { mkdir, opendir, rename, rmdir, unlink } from "node:fs/promises";
import { FleetError } from "@muster/protocol/errors";
import { type Accounts, createAccounts } from "./files-accounts.ts";
import { codeOf, isMissing, told } from "./files-errors.ts";
import { createHashes, stampOf } from "./files-hash.ts";
import { createHold, type Held, type Refuse } from "./files-held.ts";
import { statsAgain, statsOf } from "./files-paths.ts";
import { createPlaces, type Places } from "./files-places.ts";
import { type Attributes, type Content, createReplacer, give, type Writing } from "./files-replace.ts";
import { watchPaths } from "./files-watch.ts";
import { OpenFile } from "./open-file.ts";

export type { Attributes, Writing } from "./files-replace.ts";

export type FileFacts = {
  readonly type: "file" | "directory" | "link" | "other";
  readonly owner: string;
  readonly group: string;
  /** Four octal digits. */
  readonly mode: string;
  readonly size_bytes: number;
  readonly changed_ms: number;
};

/** A path with what it holds. */
export type Looked = {
  readonly facts: FileFacts;
  /** Of a regular file that is not too large. */
  readonly sha256: string | null;
  /** The content, when it had to be read for the hash and is at most 16 KiB. */
  readonly bytes: Buffer | null;
};

export type Files = Places & {
  /** Facts without following a link; null when there is nothing. */
  facts(path: string): Promise<FileFacts | null>;
  /**
   * The bytes of a regular file; null when there is nothing. A link in the last part of the path is refused, unless `links` says that it is
   * followed. Errors: TOO_LARGE above `limit_bytes`, FAILED with path and reason.
   */
  read(path: string, limit_bytes: number, links?: "follow"): Promise<Buffer | null>;
  /** Facts, and of a regular file up to `limit_bytes` its hash, which is remembered while the file is not touched; null when there is nothing. */
  look(path: string, limit_bytes: number): Promise<Looked | null>;
  /**
   * Writes beside the target, sets owner and mode, syncs, calls `before` with the new file's real path, renames. The directory must be
   * there; a target that is a link or anything but a file is refused. What `before` throws leaves everything as it was. `held`: the directory
   * itself must be no link, and is held open meanwhile, so that whoever owns its parent cannot put a link in its place.
   */
  replace(
    path: string,
    content: Content,
    attributes: Attributes,
    before?: (candidate: string) => Promise<void>,
    directory?: "held",
  ): Promise<void>;
  /** As `replace` for many at once, each path once: written and synced side by side. Gives what failed, by path; those files are as before. */
  replaceAll(writings: readonly Writing[]): Promise<ReadonlyMap<string, FleetError>>;
  rename(from: string, to: string): Promise<void>;
  /** Errors: FAILED when an agent without root would have to give a file to somebody else. */
  setAttributes(path: string, attributes: Attributes): Promise<void>;
  /** Makes one directory, or sets the attributes of the one that is there. */
  makeDirectory(path: string, attributes: Attributes): Promise<void>;
  /** Removes a file, or an empty directory; nothing there is fine. */
  remove(path: string): Promise<void>;
  /** Names in a directory, in order; none when there is no such directory. Errors: TOO_LARGE above 100,000. */
  list(path: string): Promise<readonly string[]>;
  /** Writes into a file that is there already, in one write and in place: for the kernel's files below /proc/sys only. */
  writeKernel(path: string, text: string): Promise<void>;
  /**
   * What these paths hold now is about to be looked at: what a watch hears of them later is no news while they are still so. Not seen that way is what is
   * changed in place, to the same size, within the same tick of the kernel's clock (4 ms; none from Linux 6.13 on): the loop's own timer finds it.
   */
  seen(paths: readonly string[]): void;
  /** The real path on disk: prefix + path, for commands. */
  real(path: string): string;
  /**
   * Calls `changed` when one of these paths comes, goes or changes, whether its directory exists yet or not; bursts are gathered for 100 ms, and what is as
   * `seen` had it is no news.
   * `failed` gets what keeps it from watching (such as the kernel's limit of watches); the paths are then only seen by the loop's timer.
   */
  watch(
    paths: readonly string[],
    on: { readonly changed: (path: string) => void; readonly failed: (error: FleetError) => void },
    signal: AbortSignal,
  ): void;
};

const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY, O_DIRECTORY, O_TRUNC } = constants;
const LIST_LIMIT = 100_000;
const CHUNK_BYTES = 64 * 1024;
/** A round looks at thousands of files at once; so many are open at a time. */
const OPEN_READS = 64;
/** What a look gives back of what it read. */
const SMALL_BYTES = 16 * 1024;
/** As many as a manifest may have. */
const SEEN_LIMIT = 5_000;

/**
 * `prefix` is "" or a directory without a slash at the end. `refuse` judges whatever is to be changed, by where it truly is: the directory that it lies in is
 * held open from then on.
 */
export function createFiles(prefix: string, refuse: Refuse = () => undefined): Files {
  const accounts = createAccounts(prefix);
  const real = (path: string) => prefix + path;
  const hold = createHold(prefix, refuse);
  const within = async <T>(path: string, work: (held: Held) => Promise<T>): Promise<T> => {
    const held = await hold(path);
    try {
      return await work(held);
    } finally {
      await held.close();
    }
  };
  const hashes = createHashes(SMALL_BYTES);
  const replacer = createReplacer(hold, accounts, hashes.wrote);
  const seen = new Map<string, string>();
  /** Null when it cannot be looked at, which is news each time. */
  const stampNow = (path: string): string | null => {
    try {
      const found = statsAgain(real(path));
      return found === null ? "nothing" : stampOf(found);
    } catch {
      return null;
    }
  };
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

  return {
    real,
    facts: (path) =>
      told(path, async () => {
        const names = accounts();
        const found = await statsOf(real(path));
        return found === null ? null : factsOf(found, names);
      }),
    look: (path, limit_bytes) =>
      told(path, async () => {
        const names = accounts();
        const found = hashes.recent(path) ? statsAgain(real(path)) : await statsOf(real(path));
        if (found === null) return null;
        const facts = factsOf(found, names);
        const hashed =
          facts.type === "file" ? await gated(() => hashes.of(real(path), path, found, limit_bytes)) : null;
        return { facts, sha256: hashed?.sha256 ?? null, bytes: hashed?.bytes ?? null };
      }),
    read: (path, limit_bytes, links) =>
      gated(() => told(path, () => readBounded(real(path), path, limit_bytes, links === "follow"))),
    replace: (path, content, attributes, before, directory) =>
      replacer.one({ path, content, attributes }, before, directory),
    replaceAll: (writings) => replacer.all(writings),
    rename: (from, to) =>
      told(from, () =>
        within(from, (source) =>
          within(to, async (target) => {
            await rename(source.at, target.at);
            await target.sync();
          }),
        ),
      ),
    setAttributes: (path, attributes) =>
      told(path, () =>
        within(path, async ({ at }) => {
          const file = await OpenFile.open(at, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
          try {
            await give(file, path, attributes, accounts());
          } finally {
            file.close();
          }
        }),
      ),
    makeDirectory: (path, attributes) =>
      told(path, () =>
        within(path, async ({ at, sync }) => {
          const found = await statsOf(at);
          if (found !== null && !found.isDirectory())
            throw new FleetError("FAILED", `${path} is there and is no directory: remove it by hand first`);
          if (found === null) await mkdir(at, 0o700);
          const directory = await OpenFile.open(at, O_RDONLY | O_NOFOLLOW | O_DIRECTORY);
          try {
            await give(directory, path, attributes, accounts());
          } finally {
            directory.close();
          }
          await sync();
        }),
      ),
    remove: (path) =>
      told(path, async () => {
        if ((await statsOf(real(path))) === null) return;
        await within(path, async ({ at, sync }) => {
          const found = await statsOf(at);
          if (found === null) return;
          if (found.isDirectory()) await rmdir(at);
          else await unlink(at);
          await sync();
        });
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
    ...createPlaces(prefix),
    writeKernel: (path, text) =>
      told(path, async () => {
        if (!path.startsWith("/proc/sys/") || path.includes("/../"))
          throw new FleetError("INVALID", `${path} is no file of the kernel's parameters`);
        const file = await OpenFile.open(real(path), O_WRONLY | O_NOFOLLOW | O_TRUNC);
        try {
          await file.write(Buffer.from(text));
        } finally {
          file.close();
        }
      }),
    seen(paths) {
      // A few hundred bytes each; of what is pushed out a watch tells once more than it need.
      if (seen.size + paths.length > SEEN_LIMIT) seen.clear();
      for (const path of paths) {
        const stamp = stampNow(path);
        if (stamp === null) seen.delete(path);
        else seen.set(path, stamp);
      }
    },
    watch(paths, on, signal) {
      const changed = (path: string): void => {
        const before = seen.get(path);
        if (before !== undefined && stampNow(path) === before) return;
        seen.delete(path);
        on.changed(path);
      };
      watchPaths(paths, real, { ...on, changed }, signal);
    },
  };
}

async function readBounded(
  real: string,
  path: string,
  limit_bytes: number,
  follow: boolean,
): Promise<Buffer | null> {
  let file: OpenFile;
  try {
    // Without O_NONBLOCK a fifo would hang the agent.
    file = await OpenFile.open(real, O_RDONLY | O_NONBLOCK | (follow ? 0 : O_NOFOLLOW));
  } catch (error) {
    if (isMissing(error)) return null;
    if (!follow && codeOf(error) === "ELOOP")
      throw new FleetError("FAILED", `${path} is a link, and no file is read through one`, { cause: error });
    throw error;
  }
  try {
    const stats = file.facts();
    if (!stats.isFile()) throw new FleetError("FAILED", `${path} is no regular file`);
    // Room for the end to show; many small files are read at once.
    const said_bytes = Number(stats.size);
    const piece_bytes = Math.min(Math.max(said_bytes + 1, 4_096), CHUNK_BYTES);
    const chunks: Buffer[] = [];
    let size = 0;
    // Files of the kernel say that they have no bytes: only reading tells.
    for (;;) {
      const chunk = Buffer.allocUnsafe(size === said_bytes && size > 0 ? 1 : piece_bytes);
      const count = await file.read(chunk);
      if (count === 0) return Buffer.concat(chunks, size);
      size += count;
      if (size > limit_bytes) throw new FleetError("TOO_LARGE", `${path} has more than ${limit_bytes} bytes`);
      chunks.push(chunk.subarray(0, count));
    }
  } finally {
    file.close();
  }
}

function factsOf(found: BigIntStats, names: Accounts): FileFacts {
  return {
    type: found.isFile()
      ? "file"
      : found.isDirectory()
        ? "directory"
        : found.isSymbolicLink()
          ? "link"
          : "other",
    owner: names.userName(Number(found.uid)),
    group: names.groupName(Number(found.gid)),
    mode: (Number(found.mode) & 0o7777).toString(8).padStart(4, "0"),
    size_bytes: Number(found.size),
    changed_ms: Number(found.mtimeMs),
  };
}
