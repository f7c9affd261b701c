/**
 * Runs one program to its end: bounded output, a time limit, input as text, bytes or a stream. Everything the lab does to
 * the machine goes through here.
 */
import { spawn } from "node:child_process";
import { accessSync, constants as fs_constants } from "node:fs";
import { constants } from "node:os";
import { delimiter, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { codeOf, SetupError } from "./errors.mjs";

const OUTPUT_LIMIT_BYTES = 16 * 1024 * 1024;

/**
 * @typedef {object} Result
 * @property {number} code exit code; 128 + number when killed by a signal; 124 when the time limit struck
 * @property {string} stdout
 * @property {string} stderr
 *
 * @typedef {object} RunOptions
 * @property {string | Buffer | AsyncIterable<Buffer>} [input] standard input; none: empty
 * @property {number} [timeout_ms] then SIGKILL and code 124; none: no limit
 * @property {string} [cwd]
 * @property {NodeJS.ProcessEnv} [env] replaces the environment
 * @property {AbortSignal} [signal] kills the program and throws the signal's reason
 */

/**
 * Runs `file` with `args`. A non-zero exit is a result, not an error; a program that cannot be started throws (ENOENT),
 * as does output beyond 16 MiB.
 * @param {string} file
 * @param {string[]} args
 * @param {RunOptions} [options]
 * @returns {Promise<Result>}
 */
export async function run(file, args, { input, timeout_ms, cwd, env, signal } = {}) {
  signal?.throwIfAborted();
  const child = spawn(file, args, { cwd, env, stdio: ["pipe", "pipe", "pipe"] });
  let timed_out = false;
  const timer =
    timeout_ms === undefined
      ? undefined
      : setTimeout(() => {
          timed_out = true;
          child.kill("SIGKILL");
        }, timeout_ms);
  const onAbort = () => child.kill("SIGKILL");
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    /** @type {Promise<number>} */
    const ended = new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code, by) => resolve(code ?? 128 + (by ? constants.signals[by] : 0)));
    });
    const [code, stdout, stderr] = await Promise.all([
      ended,
      collect(child.stdout, child),
      collect(child.stderr, child),
      feed(child.stdin, input),
    ]);
    signal?.throwIfAborted();
    return { code: timed_out ? 124 : code, stdout, stderr };
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}

/**
 * Like `run`, but a non-zero exit throws a SetupError with the command and the end of what it said.
 * @param {string} file
 * @param {string[]} args
 * @param {RunOptions} [options]
 */
export async function must(file, args, options) {
  const result = await run(file, args, options);
  if (result.code !== 0) {
    const said = `${result.stderr}\n${result.stdout}`.trim().split("\n").slice(-12).join("\n");
    throw new SetupError(
      `${file} ${args.slice(0, 4).join(" ")}${args.length > 4 ? " …" : ""} exited ${result.code}:\n${said}`,
    );
  }
  return result;
}

/**
 * The path of a program on PATH, or undefined.
 * @param {string} name
 * @param {string[]} [also] directories to look in after PATH
 */
export function which(name, also = []) {
  for (const directory of [...(process.env.PATH ?? "").split(delimiter).filter(Boolean), ...also]) {
    const path = join(directory, name);
    try {
      accessSync(path, fs_constants.X_OK);
      return path;
    } catch (error) {
      if (!["ENOENT", "EACCES", "ENOTDIR"].includes(codeOf(error))) throw error;
    }
  }
  return undefined;
}

/**
 * @param {Readable} stream
 * @param {import("node:child_process").ChildProcess} child killed when it says too much
 */
async function collect(stream, child) {
  const chunks = [];
  let size_bytes = 0;
  for await (const chunk of stream) {
    size_bytes += chunk.length;
    if (size_bytes > OUTPUT_LIMIT_BYTES) {
      child.kill("SIGKILL");
      throw new SetupError(`${child.spawnfile}: more than ${OUTPUT_LIMIT_BYTES} bytes of output`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/**
 * @param {import("node:stream").Writable} stdin
 * @param {RunOptions["input"]} input
 */
async function feed(stdin, input) {
  try {
    const chunks = typeof input === "string" || Buffer.isBuffer(input) ? [input] : (input ?? []);
    await pipeline(Readable.from(chunks, { objectMode: false }), stdin);
  } catch (error) {
    // A program that ends without reading all its input is judged by its exit code alone.
    if (!["EPIPE", "ERR_STREAM_PREMATURE_CLOSE", "ECONNRESET"].includes(codeOf(error))) throw error;
  }
}
