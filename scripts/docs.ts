/**
 * Writes the reference (docs/reference/), the README's pictures (docs/pictures/) and the editors' schemas of the example folder (inventory/.schema/) from the schemas in the sources; what is
 * generated is never edited. With --check nothing is written: stale pages and fields without a description are the complaint (exit 1).
 *
 *   npm run docs            writes        npm run docs -- --check        only looks
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { argv, stderr, stdout } from "node:process";
import { fileURLToPath } from "node:url";
import { pictures } from "./pictures.ts";
import { complaints, files } from "./reference.ts";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** Folders that hold nothing but generated files. */
const GENERATED = ["docs/reference", "docs/pictures", "inventory/.schema"];

function existing(): string[] {
  return GENERATED.flatMap((folder) => {
    try {
      return readdirSync(join(root, folder)).map((name) => `${folder}/${name}`);
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
      throw error;
    }
  });
}

const wanted = new Map([...files(), ...pictures()]);
const there = existing();
const stale = [...wanted].filter(
  ([path, text]) => !there.includes(path) || readFileSync(join(root, path), "utf8") !== text,
);
const left = there.filter((path) => !wanted.has(path));
const silent = complaints();

for (const complaint of silent) stderr.write(`${complaint}\n`);
if (silent.length > 0) {
  stderr.write(
    'give each one a .describe("…") in its schema: it is what people read in the reference and in their editor\n',
  );
  process.exitCode = 1;
}
if (argv.includes("--check")) {
  for (const [path] of stale) stderr.write(`${path} is stale\n`);
  for (const path of left) stderr.write(`${path} is not made by anything\n`);
  if (stale.length + left.length > 0) {
    stderr.write(
      "the sources have changed and the reference has not: run `npm run docs` and commit what it writes\n",
    );
    process.exitCode = 1;
  }
} else {
  for (const [path, text] of stale) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  for (const path of left) rmSync(join(root, path));
  stdout.write(`${wanted.size} files, ${stale.length} written, ${left.length} removed\n`);
}
