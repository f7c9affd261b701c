/**
 * Bundles the programs into dist/, each as one CommonJS file: only such a file can be run from V8's compiled form, which is what makes ctl start
 * fast (`packages/ctl/src/program/compiled.ts`). Modules behind a dynamic import still run when they are first asked for. Plain JavaScript, so that it runs with
 * nothing but esbuild installed.
 *
 *   node scripts/build.mjs [agent|controller|ctl …] [--out DIRECTORY] [--version VERSION]
 *
 * Default: all whose entry file exists, into dist/, with the version in package.json.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { argv, stderr, stdout } from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { build as bundleOf } from "esbuild";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { values: given, positionals } = parseArgs({
  args: argv.slice(2),
  allowPositionals: true,
  options: {
    out: { type: "string", default: "dist" },
    version: {
      type: "string",
      default: JSON.parse(readFileSync(join(root, "package.json"), "utf8")).version,
    },
  },
});

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

/**
 * dockerode brings what the agent never asks of it: an ssh client, gRPC for builds, archives. Left out, that is 2.6 MB of the bundle and the native
 * modules, which cannot be bundled.
 */
const docker_socket_only = {
  name: "Docker by its socket only",
  setup(build) {
    const unused = /^(ssh2|@grpc\/grpc-js|@grpc\/proto-loader|protobufjs|tar-fs)$/;
    build.onResolve({ filter: unused }, ({ path, importer }) =>
      /\/(dockerode|docker-modem)\//.test(importer) ? { path, namespace: "unused" } : undefined,
    );
    build.onLoad({ filter: /./, namespace: "unused" }, () => ({ contents: "module.exports = {};" }));
  },
};

/** Streams are asked with plain requests (`ports/bus-stored.ts`): the library's own client for them is loaded with it and never used. */
const core_nats_only = {
  name: "NATS without JetStream's client",
  setup(build) {
    build.onResolve({ filter: /^\.\.\/jetstream\// }, ({ path, importer }) =>
      /\/nats\/lib\//.test(importer) ? { path, namespace: "unused" } : undefined,
    );
  },
};

/**
 * Packages that the agent asks for by `import()`, as most agents never do. The text of a program is in its memory for as long as it runs, used or not:
 * what is asked for seldom stands in it packed, a megabyte less. None of the project's own is in there: two copies of one class would not know each other.
 */
const packed_until_asked = {
  name: "packed until asked for",
  setup(build) {
    build.onResolve({ filter: /^[@a-z]/ }, async ({ path, kind, resolveDir }) => {
      if (kind !== "dynamic-import" || /^(node:|@muster\/)/.test(path)) return undefined;
      const { path: entry, errors } = await build.resolve(path, { kind: "import-statement", resolveDir });
      return errors.length > 0 ? { errors } : { path: entry, namespace: "packed", pluginData: path };
    });
    build.onLoad({ filter: /./, namespace: "packed" }, async ({ path, pluginData: name }) => {
      const options = { ...shared, sourcemap: false, format: "cjs", write: false, entryPoints: [path] };
      const { outputFiles } = await bundleOf(options);
      const text = brotliCompressSync(outputFiles[0].contents).toString("base64");
      const lines = [
        `const text = require("node:zlib").brotliDecompressSync(Buffer.from("${text}", "base64")).toString();`,
        `const parameters = ["module", "exports", "require"];`,
        `const of = require("node:vm").compileFunction(text, parameters, { filename: "${name}" });`,
        "of(module, exports, require);",
      ];
      return { contents: lines.join("\n"), loader: "js" };
    });
  },
};

/**
 * What schemas say of themselves is for documents, editors and conditions, which an agent does not write or read: zod keeps a second schema for each of a thousand such
 * sentences. A sentence that is put together stays.
 */
const no_descriptions = {
  name: "schemas without descriptions",
  setup(build) {
    const text = String.raw`"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|${"`"}(?:[^${"`"}\\$]|\\.)*${"`"}`;
    const description = new RegExp(String.raw`\.describe\(\s*(?:${text})\s*,?\s*\)`, "g");
    build.onLoad({ filter: /\/packages\/(protocol|agent)\/src\/.*\.ts$/ }, async ({ path }) => {
      if (path.endsWith("/json-schema.ts")) throw new Error("this program has no JSON Schema");
      return { contents: (await readFile(path, "utf8")).replaceAll(description, ""), loader: "ts" };
    });
    const json_schema =
      /\/(from-json-schema|json-schema-processors|json-schema-generator|to-json-schema)\.js$/;
    build.onResolve({ filter: json_schema }, ({ path, importer }) =>
      /\/zod\/v4\//.test(importer) ? { path, namespace: "unused" } : undefined,
    );
  },
};

/** What protocol computes by Node's own modules and the page does not ask for. */
const no_node = {
  name: "no Node in a browser",
  setup(build) {
    build.onResolve({ filter: /^node:/ }, ({ path }) => ({ path, namespace: "node" }));
    build.onLoad({ filter: /./, namespace: "node" }, () => ({ contents: "module.exports = {};" }));
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
  define: { __VERSION__: JSON.stringify(given.version) },
  logLevel: "warning",
  plugins: [one_language, docker_socket_only, core_nats_only],
};

const programs = {
  agent: {
    entry: "packages/agent/src/main.ts",
    out: {
      format: "cjs",
      outfile: "agent.cjs",
      plugins: [...shared.plugins, packed_until_asked, no_descriptions],
    },
  },
  controller: {
    entry: "packages/controller/src/main.ts",
    out: { format: "cjs", outfile: "controller.cjs" },
  },
  ctl: {
    entry: "packages/ctl/src/main.ts",
    out: {
      format: "cjs",
      outfile: "ctl/main.cjs",
      mainFields: ["module", "main"],
      // Left as it is, it would need a loader that a compiled script has not got.
      supported: { "dynamic-import": false },
    },
    launcher: { entry: "packages/ctl/src/launch.ts", outfile: "ctl/ctl.cjs" },
  },
};

/** The web page: what a controller serves, each file packed. */
const page = {
  entry: "packages/dashboard/src/main.tsx",
  style: "packages/dashboard/src/style.css",
  out: "dashboard",
};

const placeOf = (file) => resolve(root, given.out, file);

/** What starts a program that lies beside it knows it by its content. */
function launcherOptions({ entry, outfile }, program) {
  const bytes = readFileSync(placeOf(program));
  // The launcher reads it as Latin-1.
  if (bytes.some((byte) => byte > 0x7f)) throw new Error(`${program} is not plain ASCII`);
  const name = createHash("sha256").update(bytes).digest("hex").slice(0, 16);
  return {
    ...shared,
    format: "cjs",
    outfile: placeOf(outfile),
    entryPoints: [entry],
    define: { ...shared.define, __PROGRAM__: JSON.stringify(name) },
  };
}

/** As `bundle`. */
async function bundlePage() {
  if (!existsSync(join(root, page.entry))) return undefined;
  const source = dirname(join(root, page.entry));
  const { outputFiles } = await bundleOf({
    absWorkingDir: root,
    bundle: true,
    format: "esm",
    target: "es2022",
    minify: true,
    jsx: "automatic",
    jsxImportSource: "preact",
    entryPoints: { page: page.entry, style: page.style },
    outdir: placeOf(page.out),
    write: false,
    logLevel: "warning",
    plugins: [one_language, no_node],
  });
  const files = Object.fromEntries(
    outputFiles.map(({ path, contents }) => [path.slice(placeOf(page.out).length + 1), contents]),
  );
  for (const name of ["index.html", "icon.svg"]) files[name] = readFileSync(join(source, name));
  rmSync(placeOf(page.out), { recursive: true, force: true });
  mkdirSync(placeOf(page.out), { recursive: true });
  let total = 0;
  for (const [name, contents] of Object.entries(files)) {
    const packed = gzipSync(contents, { level: 9 });
    total += packed.length;
    writeFileSync(join(placeOf(page.out), `${name}.gz`), packed);
  }
  return `${join(given.out, page.out)}  ${Math.ceil(total / 1024)} KiB packed`;
}

/** Builds one program; gives a line to print, or undefined when its entry file does not exist. */
async function bundle(name) {
  if (name === "dashboard") return bundlePage();
  const { entry, out, launcher } = programs[name];
  if (!existsSync(join(root, entry))) return undefined;
  const outfile = placeOf(out.outfile);
  await bundleOf({ ...shared, ...out, outfile, entryPoints: [entry] });
  if (launcher) await bundleOf(launcherOptions(launcher, out.outfile));
  return `${join(given.out, out.outfile)}  ${Math.ceil(statSync(outfile).size / 1024)} KiB`;
}

async function main(names) {
  const all = [...Object.keys(programs), "dashboard"];
  const unknown = names.filter((name) => !all.includes(name));
  if (unknown.length > 0) {
    stderr.write(`no such program: ${unknown.join(", ")}; there are ${all.join(", ")}\n`);
    return 2;
  }
  const wanted = names.length > 0 ? names : all;
  const lines = await Promise.all(
    wanted.map(
      async (name) =>
        (await bundle(name)) ?? `${name}: not built, ${(programs[name] ?? page).entry} does not exist`,
    ),
  );
  stdout.write(`${lines.map((line) => `  ${line}`).join("\n")}\n`);
  return 0;
}

try {
  process.exitCode = await main(positionals);
} catch (error) {
  // esbuild has printed what is wrong, with file and line, before it throws; anything else is shown whole.
  if (!Array.isArray(error?.errors)) stderr.write(`${error?.stack ?? error}\n`);
  process.exitCode = 1;
}
