/** Long work that lets what controllers are there for, their lease above all, go in between. */
import { setImmediate as turn } from "node:timers/promises";

/** The longest that other work waits, but for one piece of the long one. */
const BLOCK_MS = 10;

/** To be called after each piece: a promise when others have waited for so long. */
export function breathing(): () => Promise<void> | undefined {
  let until = performance.now() + BLOCK_MS;
  const rest = () =>
    turn().then(() => {
      until = performance.now() + BLOCK_MS;
    });
  return () => (performance.now() < until ? undefined : rest());
}
