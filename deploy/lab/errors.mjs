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
