/** How loaded a server is, from its last sample of health and the one before: rates come of the two. Pure. */
import type { Health } from "./telemetry/health.ts";

export type Load = {
  /** Shares, 0 to 1. */
  readonly cpu: number | null;
  readonly memory: number;
  readonly load1: number;
  readonly cores: number;
  readonly received_bits_per_s: number | null;
  readonly sent_bits_per_s: number | null;
};

/** What these carry goes over another interface too. */
const CARRIED = /^(?:veth|br-|docker|virbr|vnet|wg|tun|tap|gre|sit|ip6tnl|dummy|ifb)/;

/** The interfaces by which a server is connected: those that carry for others are left out, unless there are no others. */
export function outward(interfaces: Health["interfaces"]): Health["interfaces"] {
  const own = interfaces.filter(({ name }) => !CARRIED.test(name));
  return own.length === 0 ? interfaces : own;
}

export function loadOf(now: Health, before: Health | null): Load {
  const { memory, load, cores, cpu_busy } = now;
  return {
    cpu: cpu_busy,
    memory: memory.total_bytes === 0 ? 0 : 1 - memory.available_bytes / memory.total_bytes,
    load1: load[0] ?? 0,
    cores,
    received_bits_per_s: rate(now, before, "rx_bytes"),
    sent_bits_per_s: rate(now, before, "tx_bytes"),
  };
}

/** An interface that is new, or whose counter began anew, has no rate; null when none has. */
function rate(now: Health, before: Health | null, of: "rx_bytes" | "tx_bytes"): number | null {
  if (before === null || now.at <= before.at) return null;
  const earlier = new Map(before.interfaces.map((each) => [each.name, each[of]]));
  const bytes = outward(now.interfaces).flatMap((each) => {
    const was = earlier.get(each.name);
    return was === undefined || each[of] < was ? [] : [each[of] - was];
  });
  if (bytes.length === 0) return null;
  return (bytes.reduce((sum, each) => sum + each, 0) * 8_000) / (now.at - before.at);
}
