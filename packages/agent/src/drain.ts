/**
 * The switch `drain` in the ledger, and how it is shown. It does not end by itself: a host whose drain was meant to be over stays drained, and
 * is red until somebody undrains it.
 */
import { networkInterfaces } from "node:os";
import type { Convergence, ThrownSwitch } from "@muster/protocol";
import type { ObservedBird } from "./resources/bird.ts";
import { birdDrain, inEffect, wantedText } from "./resources/bird-drain.ts";
import type { Round } from "./round.ts";

/** As many of the host's own addresses as are told. */
const ADDRESSES_LIMIT = 256;

/** The drain that is thrown; null = none. */
export const drainOf = (switches: readonly ThrownSwitch[]): ThrownSwitch | null =>
  switches.find(({ name, on }) => name === "drain" && on) ?? null;

/**
 * As the convergence sample says it. `in_effect`: BIRD exports with the drain constant true or has the sessions disabled, by what was seen before
 * this round and what was done well in it.
 */
export function shownDrain(
  thrown: ThrownSwitch | null,
  round: Round | null,
  failed: readonly string[],
  addresses: () => readonly string[] = ownAddresses,
): NonNullable<Convergence["drained"]> | null {
  const drain = birdDrain(thrown);
  if (thrown === null || drain === null) return null;
  const { by, why, at, until } = thrown;
  const shown = {
    since: at,
    by,
    why,
    until,
    in_effect: false,
    addresses: addresses().slice(0, ADDRESSES_LIMIT),
  };
  const bird = round?.looked.find(({ resource }) => resource.kind === "bird");
  if (round == null || bird?.resource.kind !== "bird" || !("value" in bird.observed)) return shown;
  const { config } = bird.resource.spec;
  const { boot, includes } = bird.observed.value as ObservedBird;
  const { disables } = wantedText(config, includes, drain);
  const steps = round.plan.steps.filter(({ ref }) => ref === bird.ref);
  const good = !failed.includes(bird.ref);
  return {
    ...shown,
    in_effect: good && inEffect(config, drain, { boot: boot?.text ?? null, includes }, steps),
    ...(disables.length > 0 ? { disables: [...disables] } : {}),
  };
}

/** Those by which others can know the host: one of a link only is no more than a guess elsewhere. */
function ownAddresses(): string[] {
  return Object.values(networkInterfaces())
    .flatMap((list) => (list ?? []).filter(({ internal }) => !internal).map(({ address }) => address))
    .filter((address) => !/^fe[89ab]/i.test(address));
}

/** How long until it is overdue, in milliseconds; infinite when it has no end, or is overdue already. */
export function untilOverdue(drain: ThrownSwitch | null, now_ms: number): number {
  if (drain?.until == null || drain.until <= now_ms) return Number.POSITIVE_INFINITY;
  return drain.until - now_ms + 1;
}
