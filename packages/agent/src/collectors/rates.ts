/** What follows from two readings of counters: shares and rates. One that is asked for again within a second gives what was last known: so short a time tells nothing. */
import type { Health } from "@muster/protocol";
import { type CpuTicks, cpuShares, type cpuTimes, type DiskCounters } from "./proc.ts";

const SHORTEST_MS = 1_000;

export type Counters = {
  /** Of `/proc/stat`. */
  readonly busy: ReturnType<typeof cpuTimes>;
  readonly ticks: CpuTicks;
  readonly disks: readonly DiskCounters[];
  readonly interfaces: Health["interfaces"];
};
export type Rates = {
  readonly cpu_busy: number | null;
  readonly cpu_modes: Health["cpu_modes"];
  readonly disk_io: NonNullable<Health["disk_io"]>;
  readonly interfaces: Health["interfaces"];
};

/** @param clock_ms a clock that never jumps */
export function createRates(clock_ms: () => number): (now: Counters) => Rates {
  let before: { readonly at: number; readonly counters: Counters } | null = null;
  let last: Rates | null = null;
  return (counters) => {
    const at = clock_ms();
    if (before !== null && last !== null && at - before.at < SHORTEST_MS) return last;
    const over_ms = before === null ? 0 : at - before.at;
    last = ratesOf(before?.counters ?? null, counters, over_ms);
    before = { at, counters };
    return last;
  };
}

function ratesOf(before: Counters | null, now: Counters, over_ms: number): Rates {
  const total = before === null ? 0 : now.busy.total - before.busy.total;
  const busy = before === null ? 0 : now.busy.busy - before.busy.busy;
  const disks = new Map(before?.disks.map((each) => [each.device, each]));
  const links = new Map(before?.interfaces.map((each) => [each.name, each]));
  return {
    cpu_busy: total <= 0 ? null : Math.round(1_000 * Math.min(1, Math.max(0, busy / total))) / 1_000,
    cpu_modes: before === null ? null : cpuShares(before.ticks, now.ticks),
    disk_io: now.disks.map(({ busy_ms, ...disk }) => {
      const spent_ms = busy_ms - (disks.get(disk.device)?.busy_ms ?? busy_ms + 1);
      return {
        ...disk,
        busy: spent_ms < 0 ? null : Math.min(1, Math.round((1_000 * spent_ms) / over_ms) / 1_000),
      };
    }),
    interfaces: now.interfaces.map((link) => {
      const was = links.get(link.name);
      // Counters begin anew with an interface: that is no rate.
      const rate = (of: "rx_bytes" | "tx_bytes") =>
        was === undefined || link[of] < was[of] ? null : Math.round((1_000 * (link[of] - was[of])) / over_ms);
      return { ...link, rx_rate: rate("rx_bytes"), tx_rate: rate("tx_bytes") };
    }),
  };
}
