/** In which order hosts are changed, and which never together, by what muster.yml says of rollouts. Pure. */
import type { Gate } from "@muster/protocol/release";
import { type Selectable, select } from "../inventory/selectors.ts";
import type { Settings } from "../inventory/settings.ts";

/** How long a wave may take beyond its guards' windows. */
const SLACK_MS = 120_000;

export type Order = {
  readonly waves: string[][];
  readonly never_together: string[][];
};

/** Waves of these hosts: as muster.yml lists them, hosts of no wave last; empty waves are left out. */
export function orderOf(
  hosts: readonly Selectable[],
  groups: readonly string[],
  settings: Pick<Settings, "waves" | "never_together">,
): Order {
  const left = new Set(hosts.map((host) => host.name));
  const waves: string[][] = [];
  for (const wave of settings.waves) {
    // A wave of none of these hosts is no fault here: the folder was checked as a whole.
    const found = select(hosts, groups, wave.name).hosts.filter((name) => left.delete(name));
    if (found.length > 0) waves.push(found);
  }
  if (left.size > 0) waves.push(hosts.map((host) => host.name).filter((name) => left.has(name)));
  const never_together = settings.never_together.flatMap(({ name: label }) => {
    const by_value = new Map<string, string[]>();
    for (const host of hosts) {
      const value = host.labels[label];
      if (value !== undefined) by_value.set(value, [...(by_value.get(value) ?? []), host.name]);
    }
    return [...by_value.values()].filter((names) => names.length > 1);
  });
  return { waves, never_together };
}

/** Hosts that did not answer go last, in a wave of their own: whether they come back must not hold up those that are there. */
export function silentLast(order: Order, silent: ReadonlySet<string>): Order {
  const names = order.waves.flat().filter((name) => silent.has(name));
  if (names.length === 0) return order;
  const others = order.waves.map((wave) => wave.filter((name) => !silent.has(name)));
  return { ...order, waves: [...others.filter((wave) => wave.length > 0), names] };
}

/** The gate: hosts of one failure domain wait for each other inside a wave, so their windows add up. */
export function gateOf(order: Order, window_ms: number): Gate {
  const rounds = order.waves.flatMap((wave) =>
    order.never_together.map((domain) => domain.filter((name) => wave.includes(name)).length),
  );
  return { wave_timeout_ms: window_ms * Math.max(1, ...rounds) + SLACK_MS, max_failed: 0 };
}
