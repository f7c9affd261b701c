/** Waiting that ends with a signal, jitter, a bell that gathers rings, and many things done some at a time. */

/** Resolves after `duration_ms`, or at once when the signal aborts: the caller looks at the signal. */
export function pause(duration_ms: number, signal: AbortSignal): Promise<void> {
  return woken(duration_ms, signal, () => undefined);
}

/** As `pause`, or when `take`n is called. Not of AbortSignal.any and a sleep: loops wait often, and these cost more than what is done in between. */
function woken(within_ms: number, signal: AbortSignal, take: (wake: () => void) => void): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const wake = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", wake);
      resolve();
    };
    const timer = setTimeout(wake, within_ms);
    signal.addEventListener("abort", wake, { once: true });
    take(wake);
  });
}

/** `period_ms` give or take `share` of it. */
export const jittered = (period_ms: number, share: number, random = Math.random) =>
  Math.round(period_ms * (1 + share * (2 * random() - 1)));

/** Full jitter that grows: at first within a second, at last within 30 s. `attempt` counts from 0. */
export const backoff_ms = (attempt: number, random = Math.random) =>
  Math.round(200 + random() * Math.min(30_000, 800 * 1.7 ** Math.min(attempt, 12)));

/** A bell: `ring` at any time, `rung` resolves at once if it rang since the last time, else with the next ring or after a while. */
export class Bell {
  #rang = false;
  #wake: (() => void) | null = null;

  ring(): void {
    this.#rang = true;
    this.#wake?.();
  }

  async rung(within_ms: number, signal: AbortSignal): Promise<void> {
    if (!this.#rang) {
      await woken(within_ms, signal, (wake) => {
        this.#wake = wake;
      });
      this.#wake = null;
    }
    this.#rang = false;
  }
}

/** Does the work for all, so many at a time. The first error is thrown. */
export async function sideBySide<T>(
  all: readonly T[],
  at_once: number,
  work: (each: T) => Promise<void>,
): Promise<void> {
  const left = [...all];
  const hand = async () => {
    for (let each = left.pop(); each !== undefined; each = left.pop()) await work(each);
  };
  await Promise.all(Array.from({ length: Math.min(at_once, all.length) }, hand));
}
