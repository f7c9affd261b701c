/** The package that servers are given: where it lies on this machine. */
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { FleetError } from "@muster/protocol/errors";
import { withNext } from "../output/error.ts";

export const PACKAGE = "muster-agent.deb";
const LIMIT_BYTES = 512 * 1024 * 1024;

/** Its bytes: of the file that was named, else of the first that is there. Errors: USAGE for a file that is none, NOT_FOUND. */
export async function readPackage(
  named: string | undefined,
  where: { readonly cwd: string; readonly folder: string | null; readonly home: string },
): Promise<Uint8Array> {
  const places =
    named !== undefined
      ? [resolve(where.cwd, named)]
      : [where.cwd, where.folder, where.home]
          .filter((place) => place !== null)
          .map((place) => join(place, PACKAGE));
  for (const path of new Set(places)) {
    const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return null;
      throw new FleetError("USAGE", `${path}: ${error.message}`);
    });
    if (bytes === null) continue;
    // ar(5): what a Debian package begins with.
    if (bytes.length > LIMIT_BYTES || bytes.subarray(0, 21).toString("latin1") !== "!<arch>\ndebian-binary")
      throw new FleetError("USAGE", `${path} is not a Debian package`);
    return bytes;
  }
  throw withNext(
    new FleetError("NOT_FOUND", `${PACKAGE} is in none of ${[...new Set(places)].join(", ")}`),
    "put it there, or say --package FILE",
  );
}
