/**
 * `npm run package`: the Debian packages of this clone, without root, into dist/packages/.
 */
import { spawnSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { codeOf, SetupError } from "../lab/errors.mjs";
import { createProgress } from "../lab/progress.mjs";
import { packageOf } from "./contents.mjs";
import { writeDeb } from "./deb.mjs";
import { makeParts } from "./parts.mjs";

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const USAGE = `usage: npm run package -- [NAME…] [--version VERSION] [--out DIRECTORY] [--fast]

  NAME        muster-agent, muster-ctl, muster; default: all three
  --version   default: the one in package.json
  --out       default: dist/packages
  --fast      compresses little: for trying out

SOURCE_DATE_EPOCH is the time of all files in them; default: that of the last commit. The packages are for this machine's architecture.
`;
const NAMES = /** @type {const} */ (["muster-agent", "muster-ctl", "muster"]);

/** @param {string[]} args */
async function main(args) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      version: { type: "string" },
      out: { type: "string", default: join(ROOT, "dist", "packages") },
      fast: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const unknown = positionals.filter((name) => !NAMES.some((known) => known === name));
  if (unknown.length > 0)
    throw new SetupError(`no package ${unknown.join(", ")}\n${USAGE}`, { exit_code: 2 });
  const names = NAMES.filter((name) => positionals.length === 0 || positionals.includes(name));
  const progress = createProgress();
  const version = values.version ?? versionOfClone();
  const epoch_s = sourceDate();
  const parts = await makeParts(names, { version, epoch_s }, progress);
  for (const name of names) {
    const path = resolve(values.out, `${name}.deb`);
    const how = { path, epoch_s, fast: values.fast };
    await progress.step(path, { usually_s: values.fast ? 5 : 60 }, () =>
      writeDeb(packageOf(name, version, parts), how),
    );
    process.stdout.write(`${path}  ${version}  ${Math.round(statSync(path).size / 1e6)} MB\n`);
  }
  return 0;
}

function versionOfClone() {
  return JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")).version;
}

/** Seconds; the same sources give the same packages. */
function sourceDate() {
  const given = process.env.SOURCE_DATE_EPOCH;
  if (given !== undefined && /^\d+$/.test(given)) return Number(given);
  const { status, stdout } = spawnSync("git", ["log", "-1", "--format=%ct"], { cwd: ROOT, encoding: "utf8" });
  return status === 0 && stdout.trim() !== "" ? Number(stdout) : 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof SetupError) && !codeOf(error).startsWith("ERR_PARSE_ARGS")) throw error;
  process.stderr.write(`${/** @type {Error} */ (error).message}\n`);
  process.exitCode = error instanceof SetupError ? error.exit_code : 2;
}
