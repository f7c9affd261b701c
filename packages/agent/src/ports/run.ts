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

function failed(file: string, why: string, cause: unknown): FleetError {
  return new FleetError("COMMAND_FAILED", `${file}: ${why}`, { cause });
}
