/**
 * Lays the agent out as a package installs it: runtime, program, launcher, units.
 *
 *   node deploy/agent/assemble.mjs --node PATH-OF-NODE [--out DIRECTORY] [--tar FILE.tar.gz]
 *
 * PATH-OF-NODE is the binary that the servers will run, with its LICENSE beside it or one level up. Needs `dist/agent.cjs`
 * (node scripts/build.mjs agent).
 */
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { argv, stderr, stdout } from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const HERE = dirname(fileURLToPath(import.meta.url));
const PROGRAM = join(HERE, "..", "..", "dist", "agent.cjs");

/**
 * Copies everything to its place below `root`.
 * @param {string} root
 * @param {string} node path of the binary
 */
export function assemble(root, node) {
  if (!existsSync(PROGRAM)) throw new Error("dist/agent.cjs is missing: node scripts/build.mjs agent");
  const put = (/** @type {string} */ from, /** @type {string} */ to, mode = 0o644) => {
    const path = join(root, to);
    mkdirSync(dirname(path), { recursive: true });
    copyFileSync(from, path);
    chmodSync(path, mode);
  };
  put(node, "usr/lib/muster-agent/node/bin/node", 0o755);
  const licence = [join(dirname(node), "LICENSE"), join(dirname(node), "..", "LICENSE")].find((path) =>
    existsSync(path),
  );
  if (licence !== undefined) put(licence, "usr/lib/muster-agent/node/LICENSE");
  put(PROGRAM, "usr/lib/muster-agent/agent.cjs");
  put(join(HERE, "muster-agent"), "usr/bin/muster-agent", 0o755);
  for (const unit of readdirSync(HERE).filter((name) => name.endsWith(".service")))
    put(join(HERE, unit), `usr/lib/systemd/system/${unit}`);
}

function main() {
  const { values } = parseArgs({
    args: argv.slice(2),
    options: { node: { type: "string" }, out: { type: "string" }, tar: { type: "string" } },
  });
  if (values.node === undefined || (values.out === undefined && values.tar === undefined)) {
    stderr.write("usage: assemble.mjs --node PATH-OF-NODE [--out DIRECTORY] [--tar FILE.tar.gz]\n");
    return 2;
  }
  const root = values.out ?? mkdtempSync(join(tmpdir(), "muster-agent-"));
  try {
    assemble(root, values.node);
    if (values.tar !== undefined) {
      const { status } = spawnSync(
        "tar",
        ["-C", root, "--owner=0", "--group=0", "--numeric-owner", "-czf", values.tar, "usr"],
        { stdio: "inherit" },
      );
      if (status !== 0) return 1;
    }
    stdout.write(`${values.tar ?? root}\n`);
    return 0;
  } finally {
    if (values.out === undefined) rmSync(root, { recursive: true, force: true });
  }
}

if (argv[1] === fileURLToPath(import.meta.url)) process.exitCode = main();
