/** The newest backup of a place, or the one that is named, opened with the kit and laid out in the work directory. */
import { mkdir, readFile, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { FleetError, parseJson } from "@muster/protocol/errors";
import type { Kit } from "../fleet/kit.ts";
import { openArchive } from "./archive.ts";
import { Contents } from "./contents.ts";
import { mustRun, WORK_DIRECTORY } from "./make.ts";
import { placeOf } from "./place.ts";

export type Fetched = {
  readonly name: string;
  readonly contents: Contents;
  path(...parts: string[]): string;
};

/** `from`: a place, or in a directory one file of it. Errors: NOT_FOUND when it has none, BAD_SIGNATURE for another kit's. */
export async function fetchBackup(from: string, kit: Kit, signal: AbortSignal): Promise<Fetched> {
  if (kit.backup === undefined)
    throw new FleetError("UNSUPPORTED", "this kit is older than backups, and opens none");
  const one = from.endsWith(".muster") && !from.startsWith("rclone:");
  const place = placeOf(one ? dirname(from) : from, signal);
  const name = one ? basename(from) : (await place.list(kit.fleet)).at(-1);
  if (name === undefined) throw new FleetError("NOT_FOUND", `${from} has no backup of ${kit.fleet}`);
  await rm(WORK_DIRECTORY, { recursive: true, force: true });
  await mkdir(join(WORK_DIRECTORY, "content"), { recursive: true, mode: 0o700 });
  const path = (...parts: string[]) => join(WORK_DIRECTORY, "content", ...parts);
  await place.get(name, join(WORK_DIRECTORY, name));
  await openArchive(join(WORK_DIRECTORY, name), join(WORK_DIRECTORY, "content.tar"), kit.backup);
  await rm(join(WORK_DIRECTORY, name));
  await mustRun("tar", ["-C", path(), "-xf", join(WORK_DIRECTORY, "content.tar")], {}, signal);
  await rm(join(WORK_DIRECTORY, "content.tar"));
  const contents = parseJson(Contents, await readFile(path("contents.json")), name);
  if (contents.fleet !== kit.fleet) throw new FleetError("CONFLICT", `${name} is of ${contents.fleet}`);
  return { name, contents, path };
}
