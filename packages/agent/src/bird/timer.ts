/** Timers as BIRD prints them: `16.731/30`, left and in all. */
import type { Timer } from "@muster/protocol/telemetry/routing";

/** Null for anything else, as the `---` of a timer that does not run. */
export function timer(value: string): Timer | null {
  const match = /^(-?[\d.]+)\s*\/\s*([\d.]+)/.exec(value);
  return match === null ? null : { remaining_s: Number(match[1]), total_s: Number(match[2]) };
}
