/** What is started as `ctl`: runs the program beside it from its compiled form. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { join } from "node:path";
import { compile, formFile, learn } from "./program/compiled.ts";
import { commandName } from "./program/globals.ts";

/** Names the content of main.cjs; put in by the build. */
declare const __PROGRAM__: string;

const path = join(__dirname, "main.cjs");
const cache = process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
const file = formFile(join(cache, "muster"), __PROGRAM__, commandName(process.argv.slice(2)));
// The build writes nothing but ASCII, which is soonest read as Latin-1. On one line with the program, so that lines in its stack traces are right.
const wrapped = `(function (exports, require, module, __filename, __dirname) {${readFileSync(path, "latin1")}\n})`;
const compiled = compile(wrapped, path, file);
process.once("exit", () => learn(compiled, file));
const module_ = { exports: {} };
compiled.script.runInThisContext()(module_.exports, createRequire(path), module_, path, __dirname);
