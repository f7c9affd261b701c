/** What hosts told while the page was open, as series for charts: so many points a host at most, and so many hosts. */
import { outward } from "@muster/view/load";
import type { Told } from "@muster/view/model";

/** An hour of health, which comes every ten seconds. */
const POINTS = 360;
const HOSTS = 2_000;
const SERIES = ["cpu", "memory", "load", "receive", "transmit", "imported"] as const;
export type SeriesName = (typeof SERIES)[number];

type Points = { readonly at: number[]; readonly values: (number | null)[] };
type Before = { readonly at: number; readonly rx: number; readonly tx: number };
type OfHost = { readonly series: Record<SeriesName, Points>; before: Before | null };

export class History {
  readonly #hosts = new Map<string, OfHost>();

  /** Seconds since 1970, and the values at these; empty before anything was told. */
  of(host: string, name: SeriesName): Points {
    return this.#hosts.get(host)?.series[name] ?? { at: [], values: [] };
  }

  /** A sample of before: it counts where nothing was told meanwhile. */
  begin(host: string, told: Told, at_ms: number): void {
    const first = told.kind === "bgp" ? "imported" : "memory";
    if (this.of(host, first).at.length === 0) this.take(host, told, at_ms);
  }

  take(host: string, told: Told, now_ms: number): void {
    if (told.kind === "convergence" || told.kind === "checks") return;
    const held = this.#of(host);
    if (held === null) return;
    const at = now_ms / 1_000;
    const add = (name: SeriesName, value: number | null) => {
      const points = held.series[name];
      points.at.push(at);
      points.values.push(value);
      if (points.at.length > POINTS) {
        points.at.shift();
        points.values.shift();
      }
    };
    if (told.kind === "bgp") {
      const counts = told.sample.sessions.flatMap(({ channels }) =>
        channels.flatMap(({ imported }) => imported ?? []),
      );
      add("imported", counts.length === 0 ? null : counts.reduce((sum, count) => sum + count, 0));
      return;
    }
    const { cpu_busy, memory, load, interfaces } = told.sample;
    add("cpu", cpu_busy === null ? null : cpu_busy * 100);
    add("memory", (1 - memory.available_bytes / memory.total_bytes) * 100);
    add("load", load[0] ?? null);
    const total = (of: "rx_bytes" | "tx_bytes") => outward(interfaces).reduce((sum, one) => sum + one[of], 0);
    const now = { at, rx: total("rx_bytes"), tx: total("tx_bytes") };
    const { before } = held;
    held.before = now;
    // Counters begin anew with an interface: that is no rate.
    const rate = (value: number, earlier: number) =>
      before === null || value < earlier ? null : ((value - earlier) * 8) / (now.at - before.at);
    add("receive", rate(now.rx, before?.rx ?? 0));
    add("transmit", rate(now.tx, before?.tx ?? 0));
  }

  #of(host: string): OfHost | null {
    const held = this.#hosts.get(host);
    if (held !== undefined) return held;
    if (this.#hosts.size >= HOSTS) return null;
    const series = Object.fromEntries(SERIES.map((name) => [name, { at: [], values: [] }]));
    const fresh: OfHost = { series: series as unknown as OfHost["series"], before: null };
    this.#hosts.set(host, fresh);
    return fresh;
  }
}
