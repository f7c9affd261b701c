/** What the leader pushes to the monitoring around: begun, changed and ended as an operator's document says. How each stands is told beside the alert routes. */
import type { RouteStanding } from "@muster/protocol/alert";
import type { Loki, Monitoring, Otlp } from "@muster/protocol/monitoring";
import { type LogCounted, type LokiPorts, LokiPush } from "./loki.ts";
import { OtlpExport, type OtlpPorts } from "./otlp.ts";

type Pushing = { stop(): Promise<void>; standing(): RouteStanding };

export type OutletPorts = Omit<LokiPorts, "count"> & OtlpPorts;

/** Since this controller began. */
export type LogCounts = Readonly<Record<LogCounted, number>>;

export class Outlets {
  readonly #ports: OutletPorts;
  readonly #held = new Map<string, { key: string; pushing: Pushing }>();
  readonly #counts = { pushed: 0, dropped_by_host: 0, dropped: 0, refused: 0, unreadable: 0 };

  constructor(ports: OutletPorts) {
    this.#ports = ports;
  }

  /** Null: this controller does not lead, or ends. */
  use(monitoring: Monitoring | null): void {
    this.#keep("loki", monitoring?.loki, (loki: Loki) => {
      const count = (what: LogCounted, count: number) => {
        this.#counts[what] += count;
      };
      return new LokiPush(loki, { ...this.#ports, count });
    });
    this.#keep("otlp", monitoring?.otlp, (otlp: Otlp) => new OtlpExport(otlp, this.#ports));
  }

  standings(): RouteStanding[] {
    return [...this.#held.values()].map(({ pushing }) => pushing.standing());
  }

  /** Null while no lines are pushed by this controller. */
  logCounts(): LogCounts | null {
    return this.#held.has("loki") ? this.#counts : null;
  }

  async stop(): Promise<void> {
    const held = [...this.#held.values()];
    this.#held.clear();
    await Promise.all(held.map(({ pushing }) => pushing.stop()));
  }

  #keep<T>(name: string, declared: T | undefined, begin: (declared: T) => Pushing): void {
    const key = JSON.stringify(declared);
    const held = this.#held.get(name);
    if (held?.key === key) return;
    void held?.pushing.stop();
    this.#held.delete(name);
    if (declared !== undefined) this.#held.set(name, { key, pushing: begin(declared) });
  }
}
