/**
 * What one test file has to say at its end: counts, failures, skips, and the one line that the runner reads.
 * Kept apart from the suite, so that the wording and the counting have one place.
 */
import { inspect } from "node:util";

/** One thing that went wrong: `where` names the suite and the test or hook, `error` is whatever was thrown. */
export interface Failure {
  where: string;
  error: unknown;
  /** uvu has printed message, difference and stack already; only the cause, which it leaves out, remains. */
  shown?: boolean;
}

/** The running account of one test file. */
export interface Account {
  passed: number;
  failures: Failure[];
  skips: { where: string; reason: string }[];
}

/** A new, empty account. */
export function openAccount(): Account {
  return { passed: 0, failures: [], skips: [] };
}

/**
 * uvu formats what a test throws by its `name` and `stack`, and loses the failure when either is absent
 * (`throw "text"` passes). This gives back an Error in every case.
 */
export function asError(thrown: unknown): Error {
  if (thrown instanceof Error && typeof thrown.stack === "string") return thrown;
  return new Error(`something that is not an Error was thrown: ${inspect(thrown)}`, { cause: thrown });
}

/** The text at a file's end: skips with their reasons, failures with stack and causes, and last the result line. */
export function closingText(account: Account): string {
  const lines: string[] = [];
  for (const skip of account.skips) lines.push(`#skip ${oneLine(skip.where)}: ${oneLine(skip.reason)}`);
  for (const { where, error, shown } of account.failures) {
    const left = shown ? (error as Error).cause : error;
    lines.push(`FAILED ${where}`);
    if (left !== undefined) lines.push(indent(`${shown ? "caused by " : ""}${inspect(left)}`));
  }
  const { passed, failures, skips } = account;
  lines.push(`#result passed=${passed} failed=${failures.length} skipped=${skips.length}`);
  return `${lines.join("\n")}\n`;
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ");
}

function indent(text: string): string {
  return text.replace(/^/gm, "    ");
}
