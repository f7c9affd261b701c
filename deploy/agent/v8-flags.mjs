/**
 * How V8 runs in the agent. It is idle nearly always, so its memory comes before its speed: the compilers stay out of it (8 MiB of Node's own
 * code), freed memory goes back to the system. Measured with Node 24 at rest: 66 MiB; when it was 69, without this and without the unit's MALLOC_* 104 MiB.
 */
export const AGENT_V8_FLAGS = [
  "--optimize-for-size",
  "--max-semi-space-size=1",
  "--heap-growing-percent=30",
  // What a change runs through is kept over the clearing that follows it: else the next one, minutes later, compiles it anew, 10 to 20 ms of the processor.
  "--bytecode-old-age=6",
  // The agent itself says when (packages/agent/src/tidy.ts).
  "--expose-gc",
  "--no-memory-reducer",
  "--single-threaded",
  "--v8-pool-size=0",
  "--no-opt",
  "--no-maglev",
  "--no-sparkplug",
  "--regexp-interpret-all",
];
