/**
 * One file for each program: Node with the bundled program inside (Node's single executable application), so that a server needs nothing else.
 * V8's compiled form of the program is in it too: it starts in half the time (`muster-agent version` 70 ms, not 130), and ctl needs no cache.
 */
import { createHash } from "node:crypto";
import { copyFile, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { cached } from "../lab/cache.mjs";
import { must } from "../lab/command.mjs";

/** From Node's documentation: where the program goes, and the byte that says that there is one. */
const RESOURCE = "NODE_SEA_BLOB";
const FUSE = "NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2";
const POSTJECT = createRequire(import.meta.url).resolve("postject/dist/cli.js");
/** V8's header of a compiled form: magic number, version, source, flags; 4 bytes each. */
const HEADER = { same_bytes: 8, flags_at: 12 };

/**
 * Makes it, or finds it in the cache: same program, same Node, same flags, same file.
 * @param {{ name: string, bundle: string, node: { path: string, version: string }, v8_flags: readonly string[] }} wanted `bundle`: the
 *   program as one CommonJS file
 * @param {import("../lab/progress.mjs").Progress} progress
 * @returns {Promise<string>} path of the executable
 */
export async function ensureExecutable({ name, bundle, node, v8_flags }, progress) {
  const hash = createHash("sha256").update(JSON.stringify([node.version, v8_flags, "layout 2"]));
  hash.update(await readFile(bundle));
  const entry = `executable-${name.replaceAll("-", "_")}-${process.arch}-${hash.digest("hex").slice(0, 12)}`;
  const directory = await cached(entry, (into) =>
    progress.step(`${name} as one file`, { usually_s: 4 }, async () => {
      const blob = join(into, "blob");
      await copyFile(bundle, join(into, `${name}.cjs`));
      await writeBlob(blob, { program: `${name}.cjs`, node: node.path, v8_flags });
      await rm(join(into, `${name}.cjs`));
      const made = join(into, "made");
      await copyFile(node.path, made);
      await must(process.execPath, [POSTJECT, made, RESOURCE, blob, "--sentinel-fuse", FUSE]);
      await rm(blob);
      // Copied, not moved: postject writes it in one piece, and such a file takes 18 MiB more of a process's memory (large pages).
      await copyFile(made, join(into, "copy"));
      await rm(made);
      await rename(join(into, "copy"), join(into, name));
      await checkStart(join(into, name));
    }),
  );
  return join(directory, name);
}

/**
 * The program and its compiled form. V8 seeds its hashes at random, which would make each build another file: it is compiled under a fixed seed,
 * and the header gets back the number that stands for the flags without it, which is what V8 compares at the start.
 * @param {string} blob
 * @param {{ program: string, node: string, v8_flags: readonly string[] }} parts `program`: file beside the blob; its name is in the blob
 */
async function writeBlob(blob, { program, node, v8_flags }) {
  const config = `${blob}.json`;
  await writeFile(
    config,
    JSON.stringify({
      main: program,
      output: blob,
      disableExperimentalSEAWarning: true,
      useCodeCache: true,
      execArgv: v8_flags,
      // NODE_OPTIONS of whoever starts it is not for the program.
      execArgvExtension: "none",
    }),
  );
  await must(node, [...v8_flags, "--hash-seed=1", "--experimental-sea-config", config], {
    cwd: dirname(blob),
  });
  await rm(config);
  const script =
    'process.stdout.write(new (require("node:vm").Script)("0").createCachedData().toString("hex"))';
  const sample = Buffer.from((await must(node, [...v8_flags, "-e", script])).stdout, "hex");
  const bytes = await readFile(blob);
  const at = bytes.indexOf(sample.subarray(0, HEADER.same_bytes));
  if (at < 0) throw new Error("the compiled form is not where it should be in the program's blob");
  sample.copy(bytes, at + HEADER.flags_at, HEADER.flags_at, HEADER.flags_at + 4);
  await writeFile(blob, bytes);
}

/**
 * V8 says on standard error when it throws the compiled form away.
 * @param {string} executable
 */
async function checkStart(executable) {
  const { stderr } = await must(executable, ["--help"], { timeout_ms: 20_000 });
  if (stderr !== "") throw new Error(`${executable} --help says: ${stderr}`);
}
