/** The Debian packages of this clone, made for a story in a directory of its own. */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { ROOT } from "./lab.ts";

export type PackageName = "muster" | "muster-agent" | "muster-ctl";

export type Packages = {
  /** Path on this machine. */
  path(name: PackageName): string;
  remove(): void;
};

export async function makePackages(names: readonly PackageName[]): Promise<Packages> {
  const out = mkdtempSync(join(tmpdir(), "muster-packages-"));
  const words = ["deploy/package/main.mjs", ...names, "--fast", "--out", out];
  await promisify(execFile)(process.execPath, words, { cwd: ROOT });
  return {
    path: (name) => join(out, `${name}.deb`),
    remove: () => rmSync(out, { recursive: true, force: true }),
  };
}
