/**
 * Gives memory back when a start or a change has come to rest: what was read and compiled for it is of no use any more. V8 would find that out by itself,
 * 8 s later, twice, and in two hundred small pieces each: two thirds of what an agent at rest took of a processor in its first half minute. V8 may let the heap grow by
 * a third while changes come one after the other (deploy/agent/v8-flags.mjs); an agent at rest is to be smaller than that, so it looks itself.
 */
import { getHeapStatistics } from "node:v8";
import type { Standing } from "./standing.ts";

const AFTER_START_MS = 1_000;
/** Longer: the next change may be on its way. */
const AFTER_CHANGE_MS = 10_000;
/** Clearing takes some 100 ms of the processor: less often would let an agent with BIRD grow beyond 70 MiB. */
const LOOK_PERIOD_MS = 150_000;
/** What it may have grown by since it was last tidied. */
const GROWTH_BYTES = 1024 * 1024;

/** By `--expose-gc` (deploy/agent/v8-flags.mjs); without it nothing is done. */
type Collect = (how: { type: "major"; execution: "sync"; flavor: "last-resort" }) => void;

/** Until the signal aborts. Only tests give times. */
export function tidyAtRest(
  standing: Pick<Standing, "listen">,
  signal: AbortSignal,
  { start_ms, change_ms, look_ms } = {
    start_ms: AFTER_START_MS,
    change_ms: AFTER_CHANGE_MS,
    look_ms: LOOK_PERIOD_MS,
  },
): void {
  const { gc } = globalThis as { gc?: Collect };
  if (gc === undefined) return;
  let after_ms = start_ms;
  let before = "";
  let tidied_bytes = Number.POSITIVE_INFINITY;
  let timer: NodeJS.Timeout | undefined;
  const tidy = () => {
    after_ms = change_ms;
    gc({ type: "major", execution: "sync", flavor: "last-resort" });
    tidied_bytes = getHeapStatistics().used_heap_size;
    timer = setTimeout(look, look_ms);
  };
  const look = () => {
    if (getHeapStatistics().used_heap_size > tidied_bytes + GROWTH_BYTES) tidy();
    else timer = setTimeout(look, look_ms);
  };
  standing.listen(({ broker, convergence: { generation, state } }) => {
    const now = `${broker} ${generation} ${state}`;
    if (now === before || signal.aborted) return;
    before = now;
    clearTimeout(timer);
    if (state === "applying") return;
    timer = broker === null ? setTimeout(tidy, after_ms) : setTimeout(look, look_ms);
  });
  signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
}
