/**
 * The one error that people see from the set-up: a plain sentence that says what to do, and the exit code for it.
 * Anything else that escapes is a bug and keeps its stack.
 */

/** A failure of the set-up, explained. `exit_code` 1: it failed; 2: this machine lacks something that a person must add. */
export class SetupError extends Error {
  /**
   * @param {string} message what is wrong and what to do about it
   * @param {{ exit_code?: 1 | 2, cause?: unknown }} [options]
   */
  constructor(message, { exit_code = 1, cause } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "SetupError";
    this.exit_code = exit_code;
  }
}

/**
 * The code of a system error (`ENOENT`, …); empty for anything else.
 * @param {unknown} error
 */
export function codeOf(error) {
  return /** @type {NodeJS.ErrnoException} */ (error)?.code ?? "";
}

/**
 * What an error says, with the cause that Node's fetch hides.
 * @param {unknown} error
 */
export function messageOf(error) {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message : error.message;
}
