/**
 * The switch `drain` in the ledger, and how it is shown. It does not end by itself: a host whose drain was meant to be over stays drained, and
 * is red until somebody undrains it.
 */
import type { Convergence, ThrownSwitch } from "@muster/protocol";
import type { ObservedBird } from "./resources/bird.ts";
import { MUSTER_FILE, saysDrained } from "./resources/bird-files.ts";
import type { Round } from "./round.ts";

/** The drain that is thrown; null = none. */
export const drainOf = (switches: readonly ThrownSwitch[]): ThrownSwitch | null =>
  switches.find(({ name, on }) => name === "drain" && on) ?? null;

/**
 * As the convergence sample says it. `in_effect`: BIRD exports with the drain constant true, by what was seen before this round and what
 * was done well in it.
 */
export function shownDrain(
  drain: ThrownSwitch | null,
  round: Round | null,
  failed: readonly string[],
): NonNullable<Convergence["drained"]> | null {
  if (drain === null) return null;
  const { by, why, at, until } = drain;
  return { since: at, by, why, until, in_effect: round !== null && isInEffect(round, failed) };
}

function isInEffect(round: Round, failed: readonly string[]): boolean {
  const bird = round.looked.find(({ resource }) => resource.kind === "bird");
  if (bird === undefined || !("value" in bird.observed) || failed.includes(bird.ref)) return false;
  const turned = round.plan.steps.some(({ ref, args }) => ref === bird.ref && args.drain === true);
  const said = (bird.observed.value as ObservedBird).includes[MUSTER_FILE];
  return turned || (typeof said === "string" && saysDrained(said));
}

/** How long until it is overdue, in milliseconds; infinite when it has no end, or is overdue already. */
export function untilOverdue(drain: ThrownSwitch | null, now_ms: number): number {
  if (drain?.until == null || drain.until <= now_ms) return Number.POSITIVE_INFINITY;
  return drain.until - now_ms + 1;
}
