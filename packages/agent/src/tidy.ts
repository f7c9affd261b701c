/**
 * Gives memory back when a start or a change has come to rest: what was read and compiled for it is of no use any more. V8 would find that out by itself,
 * 8 s later, twice, and in two hundred small pieces each: two thirds of what an agent at rest took of a processor in its first half minute.
 */
import type { Standing } from "./standing.ts";

const AFTER_START_MS = 1_000;
/** Longer: the next change may be on its way. */
const AFTER_CHANGE_MS = 10_000;

/** By `--expose-gc` (deploy/agent/v8-flags.mjs); without it nothing is done. */
type Collect = (how: { type: "major"; execution: "sync"; flavor: "last-resort" }) => void;

/** Until the signal aborts. Only tests give times. */
export function tidyAtRest(
  standing: Pick<Standing, "listen">,
  signal: AbortSignal,
  { start_ms, change_ms } = { start_ms: AFTER_START_MS, change_ms: AFTER_CHANGE_MS },
): void {
  const { gc } = globalThis as { gc?: Collect };
  if (gc === undefined) return;
  let after_ms = start_ms;
  let before = "";
  let timer: NodeJS.Timeout | undefined;
  const tidy = () => {
    after_ms = change_ms;
    gc({ type: "major", execution: "sync", flavor: "last-resort" });
  };
  standing.listen(({ broker, convergence: { generation, state } }) => {
    const now = `${broker} ${generation} ${state}`;
    if (now === before || signal.aborted) return;
    before = now;
    clearTimeout(timer);
    if (broker === null && state !== "applying") timer = setTimeout(tidy, after_ms);
  });
  signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
}
