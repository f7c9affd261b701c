/** Programs of the host: no shell, a time limit, bounded output. The only place that starts a process. */
import { FleetError } from "@muster/protocol/errors";
import { execa } from "execa";

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

const OUTPUT_BYTES = 4 * 1024 * 1024;
const KILL_AFTER_MS = 2_000;

export function createRun(): Run {
  return async (file, args, { timeout_ms, input }, signal) => {
    if (signal.aborted) throw new FleetError("CANCELLED", `${file} was not started`);
    const result = await execa(file, args, {
      ...(input === undefined ? { stdin: "ignore" as const } : { input }),
      timeout: timeout_ms,
      cancelSignal: signal,
      maxBuffer: OUTPUT_BYTES,
      forceKillAfterDelay: KILL_AFTER_MS,
      reject: false,
      stripFinalNewline: false,
      // Texts that we read must not depend on the host's language.
      env: { LC_ALL: "C" },
    });
    const { stdout, stderr } = result;
    if (result.isCanceled) throw new FleetError("CANCELLED", `${file} was ended`, { cause: result });
    if (result.timedOut) throw failed(file, `took longer than ${timeout_ms} ms`, result);
    if (result.isMaxBuffer) throw failed(file, `printed more than ${OUTPUT_BYTES} bytes`, result);
    if (result.exitCode === undefined) {
      const why =
        result.signal === undefined
          ? (result.originalMessage ?? "could not be started")
          : `was ended by ${result.signal}`;
      throw failed(file, why, result);
    }
    return { code: result.exitCode, stdout, stderr };
  };
}

export function createRunStreamed(): RunStreamed {
  return async (file, args, { on_output, env }, signal) => {
    if (signal.aborted) throw new FleetError("CANCELLED", `${file} was not started`);
    // A process group of its own, so that what it starts can be ended with it.
    const child = execa(file, args, {
      stdin: "ignore",
      buffer: false,
      reject: false,
      detached: true,
      env: { LC_ALL: "C", ...env },
    });
    const kill = (name: NodeJS.Signals) => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, name);
      } catch (error) {
        if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
      }
    };
    let force: NodeJS.Timeout | undefined;
    const end = () => {
      kill("SIGTERM");
      force ??= setTimeout(() => kill("SIGKILL"), KILL_AFTER_MS);
    };
    signal.addEventListener("abort", end, { once: true });
    const take = async (from: "stdout" | "stderr") => {
      const decoder = new TextDecoder();
      for await (const bytes of child[from] as AsyncIterable<Uint8Array>) {
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
      const [result] = await Promise.all([child, taken]);
      if (signal.aborted) throw new FleetError("CANCELLED", `${file} was ended`, { cause: result });
      if (result.exitCode === undefined && result.signal === undefined)
        throw failed(file, result.originalMessage ?? "could not be started", result);
      return { code: result.exitCode ?? null, ended_by: result.signal ?? null };
    } catch (error) {
      if (signal.aborted) throw new FleetError("CANCELLED", `${file} was ended`, { cause: error });
      throw error;
    } finally {
      signal.removeEventListener("abort", end);
      if (force !== undefined) {
        // The group may outlive its first process.
        clearTimeout(force);
        kill("SIGKILL");
      }
    }
  };
}

function failed(file: string, why: string, cause: unknown): FleetError {
  return new FleetError("COMMAND_FAILED", `${file}: ${why}`, { cause });
}
