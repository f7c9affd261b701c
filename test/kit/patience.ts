/**
 * How long a test waits for what comes by itself: a limit, times how slow this machine is at the moment when the limit is over. A free machine is held to
 * the limit as it stands; a wait that ends well is never asked.
 *
 *   const patience = patienceOf(5_000);
 *   while (!(await ready())) {
 *     if (patience.over()) throw new Error(`not after ${patience.text()}: …`);
 *     await sleep(20);
 *   }
 */
import { slownessNow } from "../../scripts/slowness.mjs";

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
      if (past_ms <= limit_ms * (factor ?? 1)) return false;
      factor ??= slownessNow();
      return past_ms > limit_ms * factor;
    },
    text() {
      const plain = `${limit_ms / 1_000} s`;
      return factor === null || factor === 1
        ? plain
        : `${plain} times ${factor.toFixed(1)}, as slow as this machine is now`;
    },
  };
}
