/** Timers as BIRD prints them: `16.731/30`, left and in all. */
import type { Timer } from "@muster/protocol/telemetry/routing";

/** Null for anything else, as the `---` of a timer that does not run. */
export function timer(value: string): Timer | null {
  const slash = value.indexOf("/");
  if (slash < 1) return null;
  const [remaining_s, total_s] = [Number(value.slice(0, slash)), Number.parseFloat(value.slice(slash + 1))];
  return Number.isFinite(remaining_s) && Number.isFinite(total_s) ? { remaining_s, total_s } : null;
}
