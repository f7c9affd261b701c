/** Programs of this machine (systemctl, ssh, …): no shell, a time limit, bounded output. The only place of ctl that starts a process. */
import type { Readable } from "node:stream";
import { FleetError } from "@muster/protocol/errors";
import { execa } from "execa";

export type RunResult = { readonly code: number; readonly stdout: string; readonly stderr: string };

export type RunOptions = {
  readonly timeout_ms?: number;
  /** Given on standard input; without it there is none. */
  readonly input?: string | Readable;
  /** Beside this process's own. */
  readonly env?: Readonly<Record<string, string>>;
};

const TIMEOUT_MS = 30_000;
const OUTPUT_BYTES = 4 * 1024 * 1024;
const KILL_AFTER_MS = 2_000;

/** Runs a program; a code other than 0 is a result. Errors: COMMAND_FAILED when it cannot be started or takes too long; CANCELLED. */
export async function runProgram(
  file: string,
  args: readonly string[],
  { timeout_ms = TIMEOUT_MS, input, env = {} }: RunOptions,
  signal: AbortSignal,
): Promise<RunResult> {
  if (signal.aborted) throw new FleetError("CANCELLED", `${file} was not started`);
  const result = await execa(file, args, {
    ...(input === undefined ? { stdin: "ignore" as const } : { input }),
    timeout: timeout_ms,
    cancelSignal: signal,
    maxBuffer: OUTPUT_BYTES,
    forceKillAfterDelay: KILL_AFTER_MS,
    reject: false,
    stripFinalNewline: false,
    // What is read here must not depend on the person's language or place.
    env: { LC_ALL: "C", TZ: "UTC", ...env },
  });
  if (result.isCanceled) throw new FleetError("CANCELLED", `${file} was ended`);
  if (result.timedOut)
    throw new FleetError("COMMAND_FAILED", `${file}: took longer than ${timeout_ms / 1_000} s`);
  if (result.exitCode === undefined) {
    const why = result.code === "ENOENT" ? "is not installed here" : (result.originalMessage ?? "was ended");
    throw new FleetError("COMMAND_FAILED", `${file}: ${why}`, { cause: result });
  }
  return { code: result.exitCode, stdout: result.stdout, stderr: result.stderr };
}

/**
 * Runs a program on the person's own terminal and gives its exit code; ^C reaches it as it reaches us.
 * Errors: COMMAND_FAILED when it cannot be started.
 */
export async function runAttached(
  file: string,
  args: readonly string[],
  signal: AbortSignal,
  /** Of this process' own environment what it does not get. */
  without: readonly string[] = [],
): Promise<number> {
  const env = Object.fromEntries(without.map((name) => [name, undefined]));
  const child = execa(file, args, { stdio: "inherit", reject: false, env });
  // Where there is no terminal only we hear of it.
  const end = () => void child.kill("SIGINT", new Error("stopped on request"));
  signal.addEventListener("abort", end, { once: true });
  const result = await child.finally(() => signal.removeEventListener("abort", end));
  if (result.code === "ENOENT")
    throw new FleetError("COMMAND_FAILED", `${file}: is not installed here`, { cause: result });
  return result.exitCode ?? 1;
}

/** Shows an address to the person in a browser of this machine, where there is one. It has been printed as well: that none opens is no error. */
export function openInBrowser(address: string): void {
  const program = process.platform === "darwin" ? "open" : "xdg-open";
  const opened = execa(program, [address], {
    detached: true,
    stdio: "ignore",
    cleanup: false,
    reject: false,
  });
  opened.unref();
}
