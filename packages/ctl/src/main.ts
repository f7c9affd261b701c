/**
 * The operator's command line. This file owns the process: its words, its terminal, ^C and its exit code. Everything else is loaded when it is needed,
 * since a person waits for every millisecond of it.
 */
import "./program/schemas.ts";
import { run } from "./program/run.ts";

declare const __VERSION__: string | undefined;

const stop = new AbortController();
process.on("SIGINT", () => {
  // The second ^C is meant: end now, whatever hangs.
  if (stop.signal.aborted) process.exit(130);
  stop.abort();
});
process.on("SIGTERM", () => stop.abort());
// A reader that has seen enough (`ctl events | head`) is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

run(
  {
    argv: process.argv.slice(2),
    env: process.env,
    cwd: process.cwd(),
    version: typeof __VERSION__ === "string" ? __VERSION__ : "0.0.0-source",
    terminal: { stdin: process.stdin, stdout: process.stdout, stderr: process.stderr },
  },
  stop.signal,
).then(
  (code) => {
    process.exitCode = code;
    // All is said and done: connections and V8's heap end with the process, which is 10 ms sooner than taking them down.
    if (process.stdout.writableLength === 0 && process.stderr.writableLength === 0) process.exit();
  },
  (error: unknown) => {
    // A mistake in the program: loud.
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exit(70);
  },
);
