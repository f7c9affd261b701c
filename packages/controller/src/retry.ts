/** Trying for ever: with full jitter, until it works or the lifetime ends. */
import { setTimeout as sleep } from "node:timers/promises";
import { FleetError } from "@muster/protocol/errors";

const FIRST_MS = 500;
const LONGEST_MS = 15_000;

/**
 * The result of `attempt`, however many tries it takes. `failed` hears of every one that did not work.
 * Errors: CANCELLED when the signal aborts; what is no FleetError is a mistake in the program and comes through at once.
 */
export async function untilDone<T>(
  attempt: () => Promise<T>,
  failed: (error: FleetError) => void,
  signal: AbortSignal,
): Promise<T> {
  for (let tries = 0; ; tries++) {
    if (signal.aborted) throw new FleetError("CANCELLED", "the controller ends");
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      if (signal.aborted) throw new FleetError("CANCELLED", "the controller ends", { cause: error });
      failed(error);
      const wait_ms = Math.random() * Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(tries, 8));
      await pause(wait_ms, signal);
    }
  }
}

/** Waits, at most until the signal aborts; never throws. */
export async function pause(duration_ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await sleep(duration_ms, undefined, { signal }).catch(() => undefined);
}
