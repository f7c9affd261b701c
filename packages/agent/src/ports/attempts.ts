/**
 * Memory of what failed at somebody else's door, such as a registry: when it may be tried again. Each failure doubles the pause, up to a limit, with
 * jitter, so that a fleet does not come back as one. In memory only: a new start of the agent is a new try.
 */
import { FleetError } from "@muster/protocol/errors";
import { timeText } from "@muster/protocol/time";
import { jittered } from "../wait.ts";

const FIRST_MS = 30_000;
const LONGEST_MS = 1_800_000;
const JITTER = 0.2;
/** Keys beyond this forget the oldest. */
const KEPT = 1_000;

export type Attempts = {
  /**
   * Does the work, unless it failed a short while ago; another key is another thing, and tried at once.
   * Errors: those of the work with when the next try is; the same words again while it is not due.
   */
  try<T>(key: string, work: () => Promise<T>): Promise<T>;
};

type Failed = { readonly error: FleetError; readonly count: number; readonly next_ms: number };

export function createAttempts(now: () => number, random: () => number = Math.random): Attempts {
  const failed = new Map<string, Failed>();
  return {
    async try(key, work) {
      const before = failed.get(key);
      if (before !== undefined && now() < before.next_ms) throw before.error;
      try {
        const result = await work();
        failed.delete(key);
        return result;
      } catch (error) {
        if (!(error instanceof FleetError) || error.code === "CANCELLED") throw error;
        const count = (before?.count ?? 0) + 1;
        const pause_ms = jittered(Math.min(LONGEST_MS, FIRST_MS * 2 ** (count - 1)), JITTER, random);
        const next_ms = now() + Math.min(LONGEST_MS, pause_ms);
        const told = new FleetError(error.code, `${error.detail}; next try ${timeText(next_ms)}`, {
          cause: error,
        });
        failed.delete(key);
        failed.set(key, { error: told, count, next_ms });
        for (const oldest of failed.keys()) {
          if (failed.size <= KEPT) break;
          failed.delete(oldest);
        }
        throw told;
      }
    },
  };
}
