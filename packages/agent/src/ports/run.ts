/** Programs of the host. */
export type RunResult = { readonly code: number; readonly stdout: string; readonly stderr: string };

/** Runs a program without a shell, with a time limit and bounded output. Errors: COMMAND_FAILED when it cannot be started or is cut off; a non-zero code is a result. */
export type Run = (
  file: string,
  args: readonly string[],
  options: { timeout_ms: number; input?: string },
  signal: AbortSignal,
) => Promise<RunResult>;
