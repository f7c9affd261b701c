/**
 * The test command (`npm test`): installs when node_modules is behind the lock file, builds the programs, then runs
 * every unit test file, after them the attacks in test/security and the stories in test/e2e on real servers, one process per file, several side by side.
 * Needs nothing but Node. Its last lines are the time of all and "N passed, N failed[, N skipped]"; exit 1 when anything failed or nothing ran.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { argv, env, execPath, stderr, stdout } from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { install, reasonToInstall } from "../scripts/install.mjs";
import { killAll, runGroup } from "../scripts/process-group.mjs";
import { bundleTest, limitOf, runTest } from "../scripts/test-file.mjs";

const usage = `usage: npm test -- [unit] [security] [e2e] [part of a path …] [--verbose]

  npm test                       everything
  npm test -- unit               the unit tests
  npm test -- security           the attacks, each on the servers that it needs
  npm test -- e2e                the stories on real servers
  npm test -- protocol/errors    the files whose path holds this
  --verbose                      shows the output of every file, not only of failed ones
`;

/** In this order; `limit_ms` holds for a file. */
const stages = [
  { name: "unit", limit_ms: 60_000 },
  { name: "security", limit_ms: 60_000 },
  { name: "e2e", limit_ms: 300_000 },
];
/** Files side by side: they mostly wait. */
const LANES = 3;
/** So many of them have servers for stories, which keep two processors busy. */
const STORY_LANES = 2;
/** For all files together, on a machine that is slow too. */
const ALL_LIMIT_MS = 3_600_000;
const BUILD_LIMIT_MS = 60_000;
const LAB_UP_LIMIT_MS = 600_000;
const LAB_DOWN_LIMIT_MS = 180_000;

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const total = { passed: 0, failed: 0, skips: [] };
/** While the servers of a lane of stories run: what takes them down. */
const labs = new Map();
/** The module that brings labs up and down, once a story needs it. */
let setup;

function say(text) {
  stdout.write(`${text}\n`);
}

function fail(text) {
  total.failed += 1;
  say(`  FAIL  ${text}`);
}

/** The test files of a stage in name order, kept to the wanted ones: each with its path relative to the root, its text and the lane that it asks for. */
function filesOf(stage, wanted) {
  const folder = join(root, "test", stage.name);
  if (!existsSync(folder)) return [];
  const found = readdirSync(folder, { recursive: true }).filter((name) => name.endsWith(".test.ts"));
  const paths = found.map((name) => `test/${stage.name}/${name}`).sort();
  const chosen = wanted.filter((word) => stages.some(({ name }) => name === word));
  if (chosen.length > 0 && !chosen.includes(stage.name)) return [];
  const parts = wanted.filter((word) => !chosen.includes(word));
  const kept = parts.length === 0 ? paths : paths.filter((path) => parts.some((part) => path.includes(part)));
  return kept.map((path) => {
    const text = readFileSync(join(root, path), "utf8");
    const lane = /^\/\/ lane: (\w+)$/m.exec(text.split("\n", 3).join("\n"))?.[1];
    return { stage, path, text, lane };
  });
}

async function within(limit_ms, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${limit_ms / 1000} s`)), limit_ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * The lanes, each with the queue that it takes its files from: most share one. A file that begins with the line `// lane: own` waits for many minutes: it
 * has a lane to itself, from the start. One with `// lane: last` measures: it waits in the first lane until all others are done.
 */
function lanesOf(files) {
  const shared = files.filter(({ lane }) => lane === undefined);
  const lanes = Array.from({ length: Math.min(LANES, shared.length) }, (_, at) => ({
    lane: at + 1,
    queue: shared,
  }));
  const own = files
    .filter(({ lane }) => lane === "own")
    .map((file, at) => ({ lane: LANES + at + 1, queue: [file] }));
  return { lanes: [...own, ...lanes], last: files.filter(({ lane }) => lane === "last") };
}

/** Runs the files of a lane, one after the other, and adds to the total as they end. A lane gets its servers before its first story. */
async function runLane({ lane, queue }, verbose) {
  for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
    const { path, text, stage } = file;
    const is_story = stage.name === "e2e";
    if (is_story && ((lane > STORY_LANES && lane <= LANES) || !(await labUp(String(lane))))) {
      queue.unshift(file);
      return;
    }
    const left_ms = ALL_LIMIT_MS - performance.now();
    if (left_ms <= 0) {
      fail(`${path}: not run, the limit of ${ALL_LIMIT_MS / 1000} s for all tests is over`);
      continue;
    }
    if (is_story) say(`  …     ${path}`);
    const limit_ms = Math.min(left_ms, limitOf(text, stage.limit_ms));
    const env = { ...process.env, MUSTER_TEST_LANE: String(lane) };
    report(path, await runTest(root, path, { limit_ms, env, verbose }), verbose);
  }
}

function report(file, result, verbose) {
  total.passed += result.passed;
  total.failed += result.failed;
  total.skips.push(...result.skips.map((skip) => `${file}: ${skip}`));
  const counts = [`${result.passed} passed`];
  if (result.failed > 0) counts.push(`${result.failed} failed`);
  if (result.skips.length > 0) counts.push(`${result.skips.length} skipped`);
  const seconds = (result.ms / 1000).toFixed(1);
  say(`  ${result.failed > 0 ? "FAIL" : "ok  "}  ${file}  ${counts.join(", ")}  ${seconds} s`);
  for (const [, text] of result.output.matchAll(/^#measured (.*)$/gm)) say(`        measured  ${text}`);
  for (const problem of result.problems) say(`        ${problem}`);
  if (result.failed > 0 && !verbose) say(result.output.replace(/^(?=.)/gm, "        | "));
}

/**
 * What real servers need on this machine, the first time minutes of building: here, so that no test's limit counts them. A failure is told where the
 * tests that need it fail.
 */
async function prepareMachine(stage) {
  const lab = (file) => pathToFileURL(join(root, "deploy/lab", file)).href;
  if (!existsSync(join(root, "deploy/lab"))) return;
  try {
    const progress = (await import(lab("progress.mjs"))).createProgress({ stream: stdout });
    await (await import(lab("programs.mjs"))).ensurePrograms(progress);
    if (stage === "e2e") await (await import(lab("fleet.mjs"))).prepare(progress);
    else await (await import(lab("tools.mjs"))).ensureTools(progress);
  } catch (error) {
    fail(`the servers of the ${stage} tests: ${error.message}`);
  }
}

/** Brings up the lane's lab, if it is not up. Gives whether it is. */
async function labUp(lane) {
  if (labs.has(lane) || !existsSync(join(root, "test/e2e/setup.ts"))) return true;
  say("  …     test/e2e/setup.ts: the servers come up");
  try {
    setup ??= bundleTest(root, "test/e2e/setup.ts").then((bundle) => import(pathToFileURL(bundle).href));
    const { up, down } = await setup;
    labs.set(lane, () => down(lane));
    await within(LAB_UP_LIMIT_MS, `test/e2e/setup.ts up(${lane})`, up(lane));
    return true;
  } catch (error) {
    fail(`test/e2e/setup.ts: ${error.stack}`);
    return false;
  }
}

async function takeLabsDown() {
  const downs = [...labs.values()];
  labs.clear();
  await within(LAB_DOWN_LIMIT_MS, "test/e2e/setup.ts down()", Promise.all(downs.map((down) => down())));
}

async function main(args) {
  if (args.includes("--help")) {
    stdout.write(usage);
    return 0;
  }
  const unknown = args.filter((arg) => arg.startsWith("-") && arg !== "--verbose");
  if (unknown.length > 0) {
    stderr.write(`unknown option ${unknown.join(" ")}\n${usage}`);
    return 2;
  }
  const verbose = args.includes("--verbose");
  const wanted = args.filter((arg) => !arg.startsWith("-"));

  const reason = reasonToInstall(root);
  if (reason) {
    say(`install: ${reason}`);
    install(root);
  }
  say("build:");
  const build_options = { cwd: root, env, limit_ms: BUILD_LIMIT_MS, echo: true };
  const built = await runGroup(execPath, ["scripts/build.mjs"], build_options);
  if (built.code !== 0) fail(`the build ended with ${built.signal ?? `exit code ${built.code}`}`);

  const planned = stages
    .map((stage) => ({ stage, files: filesOf(stage, wanted) }))
    .filter(({ files }) => files.length > 0);
  for (const { stage } of planned) await prepareMachine(stage.name);
  for (const { stage, files } of planned)
    say(`${stage.name}: ${files.length} ${files.length === 1 ? "file" : "files"}`);
  const { lanes, last } = lanesOf(planned.flatMap(({ files }) => files));
  await Promise.all(lanes.map((lane) => runLane(lane, verbose)));
  const measuring = { lane: 1, queue: last };
  await runLane(measuring, verbose);
  for (const { path } of new Set([...lanes, measuring].flatMap(({ queue }) => queue)))
    fail(`${path}: not run, its servers did not come up`);
  await takeLabsDown().catch((error) => fail(`test/e2e/setup.ts: ${error.stack}`));
  return undefined;
}

/** The last lines: every skip with its reason, what did not run, the time since the start, the counts. Gives the exit code. */
function close() {
  for (const skip of total.skips) say(`skipped  ${skip}`);
  const ran = total.passed + total.failed > 0;
  if (existsSync(join(root, "build/pictures"))) say("pictures of the page, for review: build/pictures");
  say(`all of it took ${(performance.now() / 1000).toFixed(1)} s`);
  if (!ran) say("nothing ran");
  const skipped = total.skips.length > 0 ? `, ${total.skips.length} skipped` : "";
  say(`${total.passed} passed, ${total.failed} failed${skipped}`);
  return total.failed > 0 || !ran ? 1 : 0;
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.once(signal, () => {
    killAll();
    const end = () => process.exit(close());
    fail(`stopped by ${signal}`);
    takeLabsDown().then(end, end);
  });
}

let code;
try {
  code = await main(argv.slice(2));
} catch (error) {
  fail(error.stack);
}
// Not exitCode: what the servers' set-up left open must not hold the run.
process.exit(code ?? close());
