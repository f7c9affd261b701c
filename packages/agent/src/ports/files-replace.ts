/**
 * Replaces files whole: written beside the target, synced, renamed, directory synced. A crash at any moment leaves of each file the old one or the new
 * one. Many at once are written and synced side by side, since the disk then syncs them together, and each directory is synced once. A disk that hangs is met by a
 * thread, at the first file of each directory; what follows in the next moment does not take the way to a thread, where four of them would wait for the directory's lock.
 */
import { type BigIntStats, constants, renameSync } from "node:fs";
import { unlink } from "node:fs/promises";
import { basename } from "node:path";
import { sha256 } from "@muster/protocol/canonical";
import { FleetError } from "@muster/protocol/errors";
import type { Accounts } from "./files-accounts.ts";
import { codeOf, isMissing, told } from "./files-errors.ts";
import type { Held, Hold } from "./files-held.ts";
import { statsAgain } from "./files-paths.ts";
import { OpenFile } from "./open-file.ts";

export type Attributes = { readonly owner: string; readonly group: string; readonly mode: string };

export type Content = Uint8Array | AsyncIterable<Uint8Array>;

export type Writing = { readonly path: string; readonly content: Content; readonly attributes: Attributes };

export type Replacer = {
  /** `held`: the directory itself must be no link. */
  one(writing: Writing, before?: (candidate: string) => Promise<void>, directory?: "held"): Promise<void>;
  /** All at once, each path once. Gives what failed, by path; those files are as before. */
  all(writings: readonly Writing[]): Promise<ReadonlyMap<string, FleetError>>;
};

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;
const FRESH = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
/** New files that are open at a time. */
const OPEN_WRITES = 32;
/** Of a larger content the kernel may make its writer wait. */
const AT_ONCE_BYTES = 16 * 1024;

/** `wrote` hears of each content that was whole in memory, once it lies in its place. */
export function createReplacer(
  hold: Hold,
  accounts: () => Accounts,
  wrote: (path: string, found: BigIntStats, sha256: string) => void,
): Replacer {
  const turns = new Map<string, Promise<unknown>>();

  /** Two writers of one path would share the candidate's name: they take turns. */
  const inTurn = async <T>(paths: readonly string[], work: () => Promise<T>): Promise<T> => {
    const turn = Promise.all(paths.map((path) => turns.get(path))).then(work);
    // The caller has the error; the next in line only needs to know that the turn is over.
    const over = turn.catch(() => undefined);
    for (const path of paths) turns.set(path, over);
    try {
      return await turn;
    } finally {
      for (const path of paths) if (turns.get(path) === over) turns.delete(path);
    }
  };

  /** Writes the new file beside the target and syncs it. `answers`: the directory's disk did a moment ago. */
  const writeBeside = async (
    { path, content, attributes }: Writing,
    directory: string,
    answers: boolean,
  ): Promise<Candidate> => {
    const names = accounts();
    const found = statsAgain(targetIn(directory, path));
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
    try {
      const file = await openFresh(candidate, firstMode(attributes, names), answers);
      try {
        const whole = content instanceof Uint8Array;
        if (whole && answers && content.length <= AT_ONCE_BYTES) file.writeAtOnce(content);
        else if (whole) await file.write(content);
        else for await (const piece of content) await file.write(piece);
        const written = await give(file, path, attributes, names);
        await file.sync();
        return { at: candidate, written, sha256: whole ? sha256(content) : null };
      } finally {
        file.close();
      }
    } catch (error) {
      await unlinkIfThere(candidate);
      throw missingDirectory(error, path);
    }
  };

  /** The candidate's disk has just synced it, and answers. */
  const put = async (candidate: Candidate, directory: string, path: string): Promise<void> => {
    const target = targetIn(directory, path);
    try {
      renameSync(candidate.at, target);
    } catch (error) {
      await unlinkIfThere(candidate.at);
      throw missingDirectory(error, path);
    }
    const found = candidate.sha256 === null ? null : statsAgain(target);
    // What a check did to the candidate, and another writer to the target, shows in these.
    if (found !== null && candidate.sha256 !== null && isSame(found, candidate.written))
      wrote(path, found, candidate.sha256);
  };

  const replaceIn = async (
    writing: Writing,
    { directory, where }: Held,
    before: ((candidate: string) => Promise<void>) | undefined,
  ): Promise<void> => {
    const candidate = await writeBeside(writing, directory, false);
    try {
      // Other programs cannot look through our handle.
      await before?.(`${where}/${basename(candidate.at)}`);
    } catch (error) {
      await unlinkIfThere(candidate.at);
      throw error;
    }
    await put(candidate, directory, writing.path);
  };

  return {
    one: (writing, before, held) =>
      inTurn([writing.path], () =>
        told(writing.path, async () => {
          const place = await hold(writing.path, held === undefined ? undefined : "nofollow");
          try {
            await replaceIn(writing, place, before);
            await place.sync();
          } finally {
            await place.close();
          }
        }),
      ),
    all: (writings) =>
      inTurn(
        writings.map(({ path }) => path),
        async () => {
          const failed = new Map<string, FleetError>();
          const fail = (path: string) => (error: unknown) => {
            if (!(error instanceof FleetError)) throw error;
            failed.set(path, error);
            return null;
          };
          for (let at = 0; at < writings.length; at += OPEN_WRITES) {
            const some = writings.slice(at, at + OPEN_WRITES);
            const places = await Promise.all(
              some.map(({ path }) => told(path, () => hold(path)).catch(fail(path))),
            );
            try {
              const wheres = places.map((place) => place?.where);
              const candidates: (Candidate | null)[] = [];
              for (const answers of [false, true])
                await Promise.all(
                  some.map(async (each, index) => {
                    const place = places[index] ?? null;
                    if (place === null || (wheres.indexOf(place.where) === index) === answers) return;
                    candidates[index] = await told(each.path, () =>
                      writeBeside(each, place.directory, answers),
                    ).catch(fail(each.path));
                  }),
                );
              const changed = new Map<string, Held>();
              await Promise.all(
                some.map(async ({ path }, index) => {
                  const [candidate, place] = [candidates[index] ?? null, places[index] ?? null];
                  if (candidate === null || place === null) return;
                  await told(path, () => put(candidate, place.directory, path)).catch(fail(path));
                  changed.set(place.where, place);
                }),
              );
              await Promise.all([...changed].map(([where, place]) => told(where, () => place.sync())));
            } finally {
              await Promise.all(places.map((place) => place?.close()));
            }
          }
          return failed;
        },
      ),
  };
}

/** A new file beside its target, synced; `written`: what it was when all of it was written. */
type Candidate = {
  readonly at: string;
  readonly written: BigIntStats;
  /** Null when the content went through in pieces. */
  readonly sha256: string | null;
};

const isSame = (one: BigIntStats, other: BigIntStats) =>
  one.dev === other.dev && one.ino === other.ino && one.size === other.size && one.mtimeNs === other.mtimeNs;

/** Sets owner, group and mode; gives what the file was before that. Errors: FAILED for an unknown account, and when an agent without root would have to give a file away. */
export async function give(
  file: OpenFile,
  path: string,
  attributes: Attributes,
  names: Accounts,
): Promise<BigIntStats> {
  const uid = names.uid(attributes.owner);
  const gid = names.gid(attributes.group);
  const found = file.facts();
  const goes = Number(found.uid) !== uid || Number(found.gid) !== gid;
  if (goes) {
    try {
      await file.chown(uid, gid);
    } catch (error) {
      if (codeOf(error) !== "EPERM") throw error;
      const detail = `${path}: the agent does not run as root and cannot give it to ${attributes.owner}:${attributes.group}`;
      throw new FleetError("FAILED", detail, { cause: error });
    }
  }
  // After chown, which takes the set-user bits away.
  const mode = modeOf(attributes);
  if (goes || (Number(found.mode) & 0o7777) !== mode) await file.chmod(mode);
  return found;
}

const modeOf = ({ mode }: Attributes) => Number.parseInt(mode, 8);

/** A file that stays the agent's own need not be given its mode later; nobody else's shows anything before it is his. */
function firstMode(attributes: Attributes, names: Accounts): number {
  const own =
    names.uid(attributes.owner) === process.geteuid?.() &&
    names.gid(attributes.group) === process.getegid?.();
  return own ? modeOf(attributes) & 0o777 : 0o600;
}

const targetIn = (directory: string, path: string) => `${directory}/${basename(path)}`;

/** A candidate that a crash left behind is in the way once. */
async function openFresh(candidate: string, mode: number, answers: boolean): Promise<OpenFile> {
  const open_ = async () =>
    answers ? OpenFile.openAtOnce(candidate, FRESH, mode) : OpenFile.open(candidate, FRESH, mode);
  try {
    return await open_();
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
    await unlinkIfThere(candidate);
    return open_();
  }
}

async function unlinkIfThere(real: string): Promise<void> {
  try {
    await unlink(real);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}

const missingDirectory = (error: unknown, path: string): unknown =>
  codeOf(error) === "ENOENT"
    ? new FleetError("FAILED", `${path}: its directory is not there`, { cause: error })
    : error;
