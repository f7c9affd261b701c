/** Where backups go: a directory, or what `rclone` knows as a remote (`rclone:REMOTE/PATH`). The newest are kept, older ones removed. */
import { copyFile, mkdir, readdir, rename, rm } from "node:fs/promises";
import { isAbsolute, join } from "node:path";
import { FleetError } from "@muster/protocol/errors";
import { runProgram } from "../server/run.ts";

const COPY_MS = 3_600_000;
const NAME = /^([a-z0-9][a-z0-9-]{0,30})-(\d{8}T\d{6}Z)\.muster$/;

export interface Place {
  readonly text: string;
  put(file: string, name: string): Promise<void>;
  /** Names of backups of that fleet, oldest first. */
  list(fleet: string): Promise<string[]>;
  get(name: string, file: string): Promise<void>;
  remove(name: string): Promise<void>;
}

/** `as64500-20261125T164200Z.muster` */
export function backupName(fleet: string, at_ms: number): string {
  return `${fleet}-${new Date(at_ms).toISOString().replace(/[-:]|\.\d+/g, "")}.muster`;
}

/** When the backup of that name was made; null for another name. */
export function timeOfName(name: string): number | null {
  const digits = NAME.exec(name)?.[2];
  if (digits === undefined) return null;
  return Date.parse(digits.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z"));
}

const ours = (names: readonly string[], fleet: string) =>
  names.filter((name) => NAME.exec(name)?.[1] === fleet).sort();

/** Errors: USAGE for a text that is neither. */
export function placeOf(text: string, signal: AbortSignal): Place {
  const remote = /^rclone:([^/:]+)(?:[/:](.*))?$/.exec(text);
  if (remote !== null) return remotePlace(text, `${remote[1]}:${remote[2] ?? ""}`, signal);
  if (!isAbsolute(text)) {
    throw new FleetError("USAGE", `${text}: must be a directory such as /mnt/backup, or rclone:REMOTE/PATH`);
  }
  return {
    text,
    async put(file, name) {
      // Not its parents: a disk that is not mounted should be seen, and not be filled beneath.
      await said(mkdir(text, { mode: 0o700 }), "EEXIST");
      const beside = join(text, `.${name}.part`);
      await said(copyFile(file, beside));
      await said(rename(beside, join(text, name)));
    },
    list: async (fleet) => ours((await said(readdir(text))) ?? [], fleet),
    get: async (name, file) => void (await said(copyFile(join(text, name), file))),
    remove: async (name) => void (await said(rm(join(text, name)))),
  };
}

/** What the file system says goes to the person. `but`: the one error that is none here. */
async function said<T>(work: Promise<T>, but?: string): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof Error && "code" in error)) throw error;
    if (error.code === but) return undefined;
    throw new FleetError("FAILED", error.message);
  }
}

function remotePlace(text: string, remote: string, signal: AbortSignal): Place {
  const at = (name: string) => `${remote}${/[:/]$/.test(remote) ? "" : "/"}${name}`;
  const rclone = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await runProgram("rclone", args, { timeout_ms: COPY_MS }, signal);
    if (code === 0) return stdout;
    throw new FleetError(
      "FAILED",
      `rclone ${args[0]}: ${stderr.trim().split("\n").at(-1) ?? `code ${code}`}`,
    );
  };
  return {
    text,
    put: async (file, name) => void (await rclone("copyto", file, at(name))),
    list: async (fleet) => ours((await rclone("lsf", remote)).split("\n"), fleet),
    get: async (name, file) => void (await rclone("copyto", at(name), file)),
    remove: async (name) => void (await rclone("deletefile", at(name))),
  };
}
