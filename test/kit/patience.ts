/**
 * How long a test waits for what comes by itself: a limit, times three at least, and times how slow this machine is when the limit is over. How fast the
 * product has to be is measured by figures.ts: this only ends what would wait for ever, and a wait that ends well is never asked.
 *
 *   const patience = patienceOf(5_000);
 *   while (!(await ready())) {
 *     if (patience.over()) throw new Error(`not after ${patience.text()}: …`);
 *     await sleep(20);
 *   }
 */
import { LEAST_PATIENCE, patienceNow } from "../../scripts/slowness.mjs";

export type Patience = {
  /** Whether the time is up. */
  over(): boolean;
  /** For the error: the limit, and what became of it. */
  text(): string;
};

export function patienceOf(limit_ms: number): Patience {
  const begun_ms = performance.now();
  let factor: number | null = null;
  return {
    over() {
      const past_ms = performance.now() - begun_ms;
      if (past_ms <= limit_ms * (factor ?? LEAST_PATIENCE)) return false;
      factor ??= patienceNow();
      return past_ms > limit_ms * factor;
    },
    text() {
      const plain = `${limit_ms / 1_000} s`;
      return factor === null
        ? plain
        : `${plain} times ${factor.toFixed(1)}, for a machine as slow as this is now`;
    },
  };
}
