/**
 * What must hold before a commit, besides the tests (`npm run verify`): types, lint and format, a lock file that
 * installs anywhere, file lengths, a header in every source file, the architecture, generated documentation not
 * stale, the tests that docs/security.md names. All steps run at once; exit 1 when one fails.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { execPath, stdout } from "node:process";
import { fileURLToPath } from "node:url";
import { runGroup } from "./process-group.mjs";
import { runTest } from "./test-file.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const LENGTH_LIMIT_LINES = 400;
const STEP_LIMIT_MS = 120_000;
/** What is shown of one step's complaint: enough to begin with. */
const SHOWN_LINES = 60;

/** A step gives its complaint, or "" when all is well. */
const steps = {
  types: () => command("node_modules/.bin/tsc", ["-b", "--pretty", "false"]),
  lint: () => command("node_modules/.bin/biome", ["check", "--error-on-warnings", "."]),
  lock: lockComplaint,
  length: () => complainAbout(lengthComplaint),
  header: () => complainAbout(headerComplaint),
  promises: promisesComplaint,
  architecture: async () => {
    const limits = { limit_ms: STEP_LIMIT_MS, env: process.env, verbose: false };
    const { failed, output } = await runTest(root, "test/unit/architecture.test.ts", limits);
    return failed > 0 ? output : "";
  },
  docs: () => {
    if (!existsSync(join(root, "scripts/docs.ts"))) return "";
    return command(execPath, ["--import", "tsx", "scripts/docs.ts", "--check"]);
  },
};

async function command(program, args) {
  const run = await runGroup(program, args, { cwd: root, env: process.env, limit_ms: STEP_LIMIT_MS });
  if (run.code === 0) return "";
  return (
    `${run.output}${run.late ? `killed after ${STEP_LIMIT_MS / 1000} s` : ""}` || `exit code ${run.code}`
  );
}

/**
 * npm leaves a package for another platform out of the lock file when the registry at hand has none, and `npm ci` then
 * refuses the lock file everywhere; and a lock file that names a registry's host installs from nowhere else.
 */
function lockComplaint() {
  const { packages } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
  const found = [];
  for (const [path, entry] of Object.entries(packages)) {
    if (/:\/\//.test(entry.resolved ?? ""))
      found.push(`package-lock.json: ${path} names a host: ${entry.resolved}`);
    for (const name of Object.keys(entry.optionalDependencies ?? {})) {
      if (packages[`node_modules/${name}`] || packages[`${path}/node_modules/${name}`]) continue;
      found.push(
        `package-lock.json: ${name}, optional for ${path}, has no entry: npm ci will refuse the file`,
      );
    }
  }
  return found.join("\n");
}

/** Each promise of docs/security.md names the tests that prove it, as `file`: "name": each must be there, and each promise must have one. */
function promisesComplaint() {
  const page = readFileSync(join(root, "docs/security.md"), "utf8");
  const found = [];
  for (const [, file, name] of page.matchAll(/`(test\/[\w./-]+\.ts)`(?:: "([^"]+)")?/g)) {
    const text = existsSync(join(root, file)) ? readFileSync(join(root, file), "utf8") : null;
    if (text === null) found.push(`docs/security.md: ${file} is not there`);
    else if (name !== undefined && !text.includes(`"${name}"`))
      found.push(`docs/security.md: ${file} has no test "${name}"`);
  }
  for (const promise of ["P1", "P2", "P3", "P4"])
    if (!new RegExp(`^\\*\\*${promise}\\..*\\n(?:[^\\n*].*\\n)*?- \`test/.*\`: "`, "m").test(page))
      found.push(`docs/security.md: ${promise} names no test`);
  return found.join("\n");
}

/** Every source file that git knows or would add, with its text. */
function sources() {
  const listed = execFileSync("git", ["ls-files", "-co", "--exclude-standard"], {
    cwd: root,
    encoding: "utf8",
  });
  return listed
    .split("\n")
    .filter(
      (path) =>
        /\.(tsx?|mjs)$/.test(path) && !path.startsWith("test/golden/") && existsSync(join(root, path)),
    )
    .map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }));
}

function complainAbout(rule) {
  return sources()
    .map(rule)
    .filter((complaint) => complaint !== "")
    .join("\n");
}

function lengthComplaint({ path, text }) {
  const lines = text.split("\n").length - 1;
  if (lines <= LENGTH_LIMIT_LINES) return "";
  return `${path}: ${lines} lines, the limit is ${LENGTH_LIMIT_LINES}: split it where its nouns part`;
}

function headerComplaint({ path, text }) {
  // What tools read comes before: the interpreter, a test's time limit.
  const start = text.replace(/^(#!.*\n|\/\/ limit: .*\n|\s*\n)*/, "");
  if (/^(\/\*\*?\s*\*?\s*\S|\/\/ \S)/.test(start)) return "";
  return `${path}:1: begins without a comment that says what the file is for`;
}

function shown(complaint) {
  const lines = complaint.trimEnd().split("\n");
  const more = lines.length - SHOWN_LINES;
  const kept = lines.slice(0, SHOWN_LINES).concat(more > 0 ? [`… and ${more} more lines`] : []);
  return kept.map((line) => `        | ${line}\n`).join("");
}

async function runStep([name, step]) {
  const begun_ms = performance.now();
  let complaint;
  try {
    complaint = await step();
  } catch (error) {
    complaint = error.stack;
  }
  const seconds = ((performance.now() - begun_ms) / 1000).toFixed(1);
  stdout.write(`  ${complaint ? "FAIL" : "ok  "}  ${name}  ${seconds} s\n`);
  if (complaint) stdout.write(shown(complaint));
  return complaint === "";
}

const results = await Promise.all(Object.entries(steps).map(runStep));
process.exitCode = results.every(Boolean) ? 0 : 1;
