/** Whose the files of a service are: nobody else reads them. */
import { chmod, chown, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { FleetError } from "@muster/protocol/errors";
import { runProgram } from "./run.ts";

/** Makes the directory that all services' directories lie in: everybody may pass through. */
export async function makeConfigRoot(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o755 });
  await chmod(path, 0o755);
}

/** Gives a service's directory and all in it to its user: 0700, files 0600. */
export async function giveTo(user: string, directory: string, signal: AbortSignal): Promise<void> {
  const [uid, gid] = await idsOf(user, signal);
  await chown(directory, uid, gid);
  await chmod(directory, 0o700);
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(directory, entry.name);
    await chown(path, uid, gid);
    await chmod(path, 0o600);
  }
}

async function idsOf(user: string, signal: AbortSignal): Promise<[number, number]> {
  const { code, stdout } = await runProgram("getent", ["passwd", user], {}, signal);
  const [, , uid = "", gid = ""] = stdout.split(":");
  if (code !== 0 || !/^\d+$/.test(uid) || !/^\d+$/.test(gid)) {
    throw new FleetError(
      "UNSUPPORTED",
      `this machine has no user ${user}, who comes with the package: apt install --reinstall ./muster.deb`,
    );
  }
  return [Number(uid), Number(gid)];
}
