/**
 * Programs of the host: no shell, a time limit, bounded output. The only place that starts a process. By Node's own means: a library for it took two
 * megabytes of an agent that starts a program every half minute, and several times the processor time.
 */
import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { FleetError } from "@muster/protocol/errors";

export type RunResult = { readonly code: number; readonly stdout: string; readonly stderr: string };

/**
 * Runs a program. Errors: COMMAND_FAILED when it cannot be started, is cut off, prints too much or is killed; CANCELLED on abort.
 * A code other than 0 is a result.
 */
export type Run = (
  file: string,
  args: readonly string[],
  options: { readonly timeout_ms: number; readonly input?: string },
  signal: AbortSignal,
) => Promise<RunResult>;

/**
 * Runs a program whose output is taken piece by piece; the next is read once `on_output` has resolved, so a slow taker slows the program. On abort
 * it and all that it started are ended. Resolves when everything that holds its output has ended, as ssh does. Errors: COMMAND_FAILED when it
 * cannot be started, CANCELLED on abort, and those of `on_output`.
 */
export type RunStreamed = (
  file: string,
  args: readonly string[],
  options: {
    readonly on_output: (from: "stdout" | "stderr", text: string) => void | Promise<void>;
    readonly env?: Readonly<Record<string, string>>;
  },
  signal: AbortSignal,
) => Promise<{ readonly code: number | null; readonly ended_by: string | null }>;

/** Cause of the error when a program's time was up. */
export const TIME_IS_UP = "its time was up";

const OUTPUT_BYTES = 4 * 1024 * 1024;
const KILL_AFTER_MS = 2_000;

export function createRun(): Run {
  return (file, args, { timeout_ms, input }, signal) => {
    if (signal.aborted) return Promise.reject(new FleetError("CANCELLED", `${file} was not started`));
    return new Promise((resolve, reject) => {
      const stdin = input === undefined ? "ignore" : "pipe";
      const child = start(file, args, { stdio: [stdin, "pipe", "pipe"] });
      let ended_for: FleetError | null = null;
      let force: NodeJS.Timeout | undefined;
      let exited = false;
      // What it started in turn may hold its output for ever: who ended it waits for it alone.
      const leave = () => {
        if (!exited || ended_for === null) return;
        child.stdout?.destroy();
        child.stderr?.destroy();
      };
      const end = (why: FleetError) => {
        if (ended_for !== null) return;
        ended_for = why;
        child.kill("SIGTERM");
        force = setTimeout(() => child.kill("SIGKILL"), KILL_AFTER_MS);
        leave();
      };
      const taken = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
      for (const from of ["stdout", "stderr"] as const) {
        let bytes = 0;
        child[from]?.on("data", (part: Buffer) => {
          bytes += part.length;
          if (bytes <= OUTPUT_BYTES) taken[from].push(part);
          else end(failed(file, `printed more than ${OUTPUT_BYTES} bytes`));
        });
      }
      const late = () => end(failed(file, `took longer than ${timeout_ms} ms`, TIME_IS_UP));
      const timer = setTimeout(late, timeout_ms);
      const cancel = () => end(new FleetError("CANCELLED", `${file} was ended`));
      signal.addEventListener("abort", cancel, { once: true });
      const over = () => {
        clearTimeout(timer);
        clearTimeout(force);
        signal.removeEventListener("abort", cancel);
      };
      // A program need not read what it is handed; how it ended says whether that was wrong.
      child.stdin?.on("error", () => undefined).end(input);
      child.on("error", (error) => {
        over();
        reject(failed(file, error.message, error));
      });
      child.on("exit", () => {
        exited = true;
        leave();
      });
      child.on("close", (code, ended_by) => {
        over();
        if (ended_for !== null) reject(ended_for);
        else if (code === null) reject(failed(file, `was ended by ${ended_by}`));
        else resolve({ code, stdout: textOf(taken.stdout), stderr: textOf(taken.stderr) });
      });
    });
  };
}

export function createRunStreamed(): RunStreamed {
  return async (file, args, { on_output, env }, signal) => {
    if (signal.aborted) throw new FleetError("CANCELLED", `${file} was not started`);
    // A process group of its own, so that what it starts can be ended with it.
    const child = start(file, args, { stdio: ["ignore", "pipe", "pipe"], detached: true }, env);
    const closed = new Promise<Awaited<ReturnType<RunStreamed>>>((resolve, reject) => {
      child.on("error", (error) => reject(failed(file, error.message, error)));
      child.on("close", (code, ended_by) => resolve({ code, ended_by }));
    });
    let force: NodeJS.Timeout | undefined;
    const end = () => {
      signalAll(child, "SIGTERM");
      force ??= setTimeout(() => {
        signalAll(child, "SIGKILL");
        // What left the group may still hold its output.
        child.stdout?.destroy();
        child.stderr?.destroy();
      }, KILL_AFTER_MS);
    };
    signal.addEventListener("abort", end, { once: true });
    const take = async (from: "stdout" | "stderr") => {
      const decoder = new TextDecoder();
      for await (const bytes of (child[from] ?? []) as AsyncIterable<Uint8Array>) {
        const text = decoder.decode(bytes, { stream: true });
        if (text !== "") await on_output(from, text);
      }
      const rest = decoder.decode();
      if (rest !== "") await on_output(from, rest);
    };
    try {
      const taken = Promise.all([take("stdout"), take("stderr")]).catch((error: unknown) => {
        end();
        throw error;
      });
      const [result] = await Promise.all([closed, taken]);
      if (signal.aborted) throw new FleetError("CANCELLED", `${file} was ended`);
      return result;
    } catch (error) {
      if (signal.aborted) throw new FleetError("CANCELLED", `${file} was ended`, { cause: error });
      throw error;
    } finally {
      signal.removeEventListener("abort", end);
      if (force !== undefined) {
        // The group may outlive its first process.
        clearTimeout(force);
        signalAll(child, "SIGKILL");
      }
    }
  };
}

/** To the program and what it started, as far as we may. */
function signalAll(child: ChildProcess, name: NodeJS.Signals): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, name);
  } catch (error) {
    // Nobody is left, or what is left is another user's.
    if (!(error instanceof Error && "code" in error && (error.code === "ESRCH" || error.code === "EPERM")))
      throw error;
  }
}

/** Errors: COMMAND_FAILED for what the system refuses at once; what it refuses later is told as the child's error. */
function start(
  file: string,
  args: readonly string[],
  options: SpawnOptions,
  env: Readonly<Record<string, string>> = {},
): ChildProcess {
  try {
    // Texts that we read must not depend on the host's language.
    return spawn(file, args, { ...options, env: { ...process.env, LC_ALL: "C", ...env } });
  } catch (error) {
    throw failed(file, error instanceof Error ? error.message : String(error), error);
  }
}

const textOf = (parts: readonly Buffer[]): string => Buffer.concat(parts).toString("utf8");

function failed(file: string, why: string, cause?: unknown): FleetError {
  return new FleetError("COMMAND_FAILED", `${file}: ${why}`, { cause });
}
