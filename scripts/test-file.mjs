/**
 * One test file: its bundle, its time limit, its process and its verdict.
 *
 * A test is bundled with esbuild and run by plain Node, rather than through tsx: measured on Node 20, a small test
 * starts in 86 ms against 338 ms, one with zod and yaml in 170 ms against 560 ms.
 */
import { readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { join } from "node:path";
import { execPath, getuid } from "node:process";
import { pathToFileURL } from "node:url";
import { lastWords, NODE_OPTIONS } from "./last-words.mjs";
import { runGroup } from "./process-group.mjs";

/**
 * Bundles `file` (relative to `root`) into build/test/ and gives the bundle's path. Libraries stay outside, in
 * node_modules; the project's own packages go in. Throws with esbuild's message when the file does not parse.
 */
export async function bundleTest(root, file) {
  const { build } = await import("esbuild");
  const outfile = join(root, "build", "test", file.replace(/\.ts$/, ".mjs"));
  await build({
    absWorkingDir: root,
    entryPoints: [file],
    outfile,
    bundle: true,
    platform: "node",
    target: "node20",
    format: "esm",
    sourcemap: "inline",
    sourcesContent: false,
    logLevel: "silent",
    define: { "import.meta.url": "__file_url", __VERSION__: '"0.0.0-test"' },
    plugins: [outsideLibraries, ownFileUrl],
  });
  return outfile;
}

/** Each library is found from the file that imports it: two packages may need two versions of one. */
const outsideLibraries = {
  name: "outside-libraries",
  setup(build) {
    build.onResolve({ filter: /^[^./]/ }, async ({ path, kind, resolveDir, pluginData }) => {
      if (kind === "entry-point" || path.startsWith("@muster/") || pluginData === "library") return undefined;
      if (isBuiltin(path)) return { path, external: true };
      const found = await build.resolve(path, { kind, resolveDir, pluginData: "library" });
      return found.errors.length > 0 ? found : { path: found.path, external: true };
    });
  },
};

/** In a bundle `import.meta.url` would be the bundle's: every module gets its own, on its first line (line numbers stay). */
const ownFileUrl = {
  name: "own-file-url",
  setup(build) {
    build.onLoad({ filter: /\.ts$/ }, ({ path }) => {
      const contents = `const __file_url = ${JSON.stringify(pathToFileURL(path).href)};${readFileSync(path, "utf8")}`;
      return { contents, loader: "ts" };
    });
  },
};

/** The time limit of a test file in milliseconds: `// limit: 600 s` in its first five lines, or `default_ms`; process-group.mjs stretches it on a slow machine. */
export function limitOf(text, default_ms) {
  const head = text.split("\n", 5).join("\n");
  const found = /^\/\/ limit: (\d+) s$/m.exec(head);
  return found ? Number(found[1]) * 1000 : default_ms;
}

/**
 * What goes before the program of a file with the line `// network: own` in its first five: a network with nothing but loopback. A browser fails the
 * requests that are under way whenever an interface of the machine comes or goes (ERR_NETWORK_CHANGED), and other tests make servers and containers all
 * the time. Only root may; for others it runs in the machine's network.
 */
function networkOf(text) {
  const own = /^\/\/ network: own$/m.test(text.split("\n", 5).join("\n"));
  if (!own || getuid() !== 0) return [];
  return ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"];
}

/**
 * Runs one test file. Gives `{ passed, failed, skips, problems, output, ms }`: `skips` are texts "suite: test: reason",
 * `problems` say what is wrong with the file beyond its failed tests. A file is never better than its process: no
 * result line, no tests, another exit code or processes left behind each count as one failure.
 */
export async function runTest(root, file, { limit_ms, env, verbose }) {
  let bundle;
  try {
    bundle = await bundleTest(root, file);
  } catch (error) {
    return {
      passed: 0,
      failed: 1,
      skips: [],
      problems: ["does not bundle"],
      output: `${error.message}\n`,
      ms: 0,
    };
  }
  const network = networkOf(readFileSync(join(root, file), "utf8"));
  const [program, ...args] = [...network, execPath, "--enable-source-maps", ...NODE_OPTIONS, bundle];
  const run = await runGroup(program, args, {
    cwd: root,
    env,
    limit_ms,
    echo: verbose,
    last_words: lastWords,
  });
  return { ...verdict(run, limit_ms), output: run.output, ms: run.ms };
}

/** Judges a finished process by its output and its end; pure. */
export function verdict({ code, signal, output, late, leftovers }, limit_ms) {
  const lines = [...output.matchAll(/^#result passed=(\d+) failed=(\d+) skipped=(\d+)$/gm)];
  const [passed, failed, skipped] = (lines.at(-1)?.slice(1) ?? [0, 0, 0]).map(Number);
  const skips = [...output.matchAll(/^#skip (.*)$/gm)].map((match) => match[1]);
  const problems = [];
  if (late)
    problems.push(`killed at its limit of ${limit_ms / 1000} s (more: "// limit: N s" in its first lines)`);
  else if (lines.length === 0)
    problems.push(`ended without a result line, with ${signal ?? `exit code ${code}`}`);
  else if (passed + failed + skipped === 0) problems.push("has no tests");
  else if (failed === 0 && code !== 0) problems.push(`all tests passed, but it ended with ${signal ?? code}`);
  if (leftovers.length > 0) problems.push(`left processes behind: ${leftovers.join(", ")}`);
  return { passed, failed: failed + problems.length, skips, problems };
}
