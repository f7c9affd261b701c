/**
 * Bundles the programs into dist/: the agent and the controller as one CommonJS file each, ctl as ES modules split at
 * its dynamic imports. Plain JavaScript, so that it runs with nothing but esbuild installed.
 *
 * Why ctl is split: measured on Node 20 with commander, yaml, zod, nats and x509 in the graph, a light command starts
 * 13 ms above an empty Node when split and 40 ms above it as one file, and a heavy command takes the same either way.
 *
 *   node scripts/build.mjs [agent|controller|ctl …]     default: all whose entry file exists
 */
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { argv, stderr, stdout } from "node:process";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

/**
 * zod's main module names all its 50 languages, and `import { z }` keeps what it names: 300 KB of ctl's 600 KB of zod. English,
 * the default, comes by another way.
 */
const one_language = {
  name: "one language",
  setup(build) {
    build.onResolve({ filter: /\/locales\/index\.c?js$/ }, ({ importer }) =>
      /\/zod\/v4\//.test(importer) ? { path: "locales", namespace: "none" } : undefined,
    );
    build.onLoad({ filter: /./, namespace: "none" }, () => ({ contents: "export {};" }));
  },
};

const shared = {
  absWorkingDir: root,
  bundle: true,
  platform: "node",
  target: "node20",
  minifySyntax: true,
  minifyWhitespace: true,
  // Identifiers are not minified: names are what a stack trace from the field has to offer. `keepNames` would add to that
  // only where two modules use one name, and it costs ctl 10 ms at every start.
  sourcemap: "external",
  define: { __VERSION__: JSON.stringify(version) },
  logLevel: "warning",
  metafile: true,
  plugins: [one_language],
};

/** Libraries in CommonJS call `require` for Node's own modules; an ES module has none unless it makes one. */
const require_banner =
  "import{createRequire as __createRequire}from'node:module';const require=__createRequire(import.meta.url);";

const programs = {
  agent: { entry: "packages/agent/src/main.ts", out: { format: "cjs", outfile: "dist/agent.cjs" } },
  controller: {
    entry: "packages/controller/src/main.ts",
    out: { format: "cjs", outfile: "dist/controller.cjs" },
  },
  ctl: {
    entry: "packages/ctl/src/main.ts",
    out: {
      format: "esm",
      splitting: true,
      // A CommonJS library behind a dynamic import would be a chunk with a default export and no names (@peculiar/x509).
      mainFields: ["module", "main"],
      outdir: "dist/ctl",
      outExtension: { ".js": ".mjs" },
      banner: { js: require_banner },
    },
  },
};

/** Split chunks carry a hash in their name: those of earlier builds would pile up. */
function removeStale(outdir, outputs) {
  for (const file of readdirSync(join(root, outdir))) {
    if (!(`${outdir}/${file}` in outputs)) rmSync(join(root, outdir, file));
  }
}

/** Builds one program; gives a line to print, or undefined when its entry file does not exist. */
async function bundle(name) {
  const { entry, out } = programs[name];
  if (!existsSync(join(root, entry))) return undefined;
  const { metafile } = await build({ ...shared, ...out, entryPoints: [entry] });
  if (out.outdir) removeStale(out.outdir, metafile.outputs);
  const files = Object.keys(metafile.outputs).filter((file) => !file.endsWith(".map"));
  const size_bytes = files.reduce((sum, file) => sum + statSync(join(root, file)).size, 0);
  const where = out.outfile ?? `${out.outdir}/ (${files.length} files)`;
  return `${where}  ${Math.ceil(size_bytes / 1024)} KiB`;
}

async function main(names) {
  const unknown = names.filter((name) => !(name in programs));
  if (unknown.length > 0) {
    stderr.write(`no such program: ${unknown.join(", ")}; there are ${Object.keys(programs).join(", ")}\n`);
    return 2;
  }
  const wanted = names.length > 0 ? names : Object.keys(programs);
  const lines = await Promise.all(
    wanted.map(
      async (name) => (await bundle(name)) ?? `${name}: not built, ${programs[name].entry} does not exist`,
    ),
  );
  stdout.write(`${lines.map((line) => `  ${line}`).join("\n")}\n`);
  return 0;
}

try {
  process.exitCode = await main(argv.slice(2));
} catch (error) {
  // esbuild has printed what is wrong, with file and line, before it throws; anything else is shown whole.
  if (!Array.isArray(error?.errors)) stderr.write(`${error?.stack ?? error}\n`);
  process.exitCode = 1;
}
