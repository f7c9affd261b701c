/**
 * The loop of every collector that looks at things which mostly stand still: looks at its pace, sends what changed at once and the same again once a period,
 * so that silence shows. A host that has none of it says so every ten minutes only, and pays for no more than the look that finds nothing.
 */
import type { FleetEvent } from "@muster/protocol";
import { type FaultyKind, type Sample, TELEMETRY } from "@muster/protocol/telemetry/index";
import { Bell, pause } from "../wait.ts";
import { type Faulted, faultEvents } from "./fault-events.ts";

/** How often a host says that it has none. */
export const ABSENT_PERIOD_MS = 600_000;
/** What found no connection is offered again so often, without another look. */
const OFFER_MS = 2_000;

export type Told = Omit<FleetEvent, "at">;

/** What one kind brings. */
export type Steady<K extends FaultyKind> = {
  readonly kind: K;
  /** Between two looks, which must cost less than the looks of all are allowed: 0.5 % of a core together. */
  readonly look_ms: number;
  /** Before the first: nothing of it is needed while the agent starts, and each kind has its own time, so that they do not come at once. */
  readonly first_ms: number;
  look(signal: AbortSignal): Promise<Sample<K>>;
  /** What is a change worth sending at once, as against counters and ages. */
  shape(sample: Sample<K>): unknown;
  /** What happened beside the faults that came and went. Pure. */
  events(before: Sample<K>, now: Sample<K>): Told[];
  /** Rings when it should be looked at before its time. Runs until the signal aborts. */
  follow?(ring: () => void, signal: AbortSignal): void;
};

export type SteadyLoop<K extends FaultyKind> = {
  readonly kind: K;
  /** The newest sample; null while there is none. */
  last(): Sample<K> | null;
  /** One look, with what is to be told of it; the sample only if it should be sent. */
  turn(signal: AbortSignal): Promise<{ sample: Sample<K> | null; events: readonly Told[] }>;
  /** It was sent: the period begins anew. */
  sent(): void;
  /** What it saw is of no use any more: it looks before its time. */
  look(): void;
  wait(signal: AbortSignal): Promise<void>;
  begin(signal: AbortSignal): Promise<void>;
};

export function steadyLoop<K extends FaultyKind>(collector: Steady<K>, now: () => number): SteadyLoop<K> {
  const bell = new Bell();
  const ring = () => {
    rang = true;
    bell.ring();
  };
  let last: Sample<K> | null = null;
  let unsent = true;
  let sent_at = Number.NEGATIVE_INFINITY;
  let shown = "";
  let looked_at = Number.NEGATIVE_INFINITY;
  let rang = false;
  return {
    kind: collector.kind,
    last: () => last,
    async turn(signal) {
      const age_ms = now() - looked_at;
      if (unsent && last !== null && !rang && age_ms >= 0 && age_ms < collector.look_ms)
        return { sample: last, events: [] };
      rang = false;
      looked_at = now();
      const sample = await collector.look(signal);
      const before = last;
      last = sample;
      const shape = JSON.stringify([sample.present, sample.faults, collector.shape(sample)]);
      if (shape !== shown) unsent = true;
      shown = shape;
      const period_ms = sample.present ? TELEMETRY[collector.kind].period_ms : ABSENT_PERIOD_MS;
      const due = now() - sent_at >= period_ms || now() < sent_at;
      const events =
        before === null
          ? []
          : [...collector.events(before, sample), ...faultEvents(before as Faulted, sample as Faulted)];
      return { sample: unsent || due ? sample : null, events };
    },
    sent() {
      unsent = false;
      sent_at = now();
    },
    look: ring,
    wait: (signal) => bell.rung(unsent ? Math.min(OFFER_MS, collector.look_ms) : collector.look_ms, signal),
    async begin(signal) {
      await pause(collector.first_ms, signal);
      if (!signal.aborted) collector.follow?.(ring, signal);
    },
  };
}
