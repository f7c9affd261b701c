/** What a hostile controller tries, one line each, and the table of what became of it. */
import { type ErrorCode, FleetError } from "@muster/protocol/errors";

export type Attempt = {
  /** The promise of docs/security.md that it would break. */
  readonly promise: "P1" | "P2" | "P3" | "P4";
  /** Who has to refuse it. */
  readonly by: "Vault" | "broker" | "host";
  readonly what: string;
  /** The refusals that are right; anything else, and no refusal at all, is a defect. */
  readonly refused: readonly ErrorCode[];
  act(): Promise<unknown>;
};

export type Outcome = Attempt & { readonly code: string; readonly right: boolean };

const AT_ONCE = 16;

/** Tries all of it, a few at a time, in any order. Nothing an attempt does may be needed by another. */
export async function attempt(attempts: readonly Attempt[], at_once = AT_ONCE): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  const queue = attempts.map((each, at) => ({ each, at }));
  const worker = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const code = await codeOf(next.each.act());
      outcomes[next.at] = { ...next.each, code, right: next.each.refused.some((right) => right === code) };
    }
  };
  await Promise.all(Array.from({ length: at_once }, worker));
  return outcomes;
}

/** The code of the refusal, or that there was none. A mistake in the attempt itself is thrown. */
export async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "WENT THROUGH";
  } catch (error) {
    if (error instanceof FleetError) return error.code;
    throw error;
  }
}

export function tableOf(outcomes: readonly Outcome[]): string {
  const width = Math.max(...outcomes.map(({ what }) => what.length));
  return outcomes
    .map(
      ({ promise, by, what, code, right }) =>
        `  ${promise}  ${by.padEnd(6)}  ${what.padEnd(width)}  ${code}${right ? "" : "  <== WRONG"}`,
    )
    .join("\n");
}
