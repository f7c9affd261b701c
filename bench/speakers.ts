/**
 * A process full of simulated hosts for telemetry.ts: each with its own TLS connection, key and JWT, telling every kind of telemetry at its period, evenly spread over
 * it, and its history every five minutes; and one who looks on and hears all of it, as an open page does.
 */
import { patterns, subjects, TELEMETRY } from "@muster/protocol";
import type { NatsConnection } from "nats";
import { historyOf, samplesOf } from "./one-host.ts";
import { dialBare, inTurn, type SimulatedHost } from "./simulated-host.ts";

export type SpeakersOrder = {
  readonly server: string;
  readonly ca_pem: string;
  readonly hosts: readonly SimulatedHost[];
  readonly viewer: SimulatedHost;
  /** Where the controller tells its metrics. */
  readonly metrics: string;
};
/** For so long, from now; or one scrape. */
export type SpeakersAsk = { readonly measure_ms: number } | { readonly scrape: true };
export type Spoken = {
  /** Messages told, by kind. */
  readonly told: Readonly<Record<string, number>>;
  readonly told_bytes: number;
  readonly heard: number;
  /** From telling an event to hearing it, of each. */
  readonly event_ms: readonly number[];
};
/** From asking to the last byte. */
export type Scraped = { readonly ms: number; readonly text: string };

const TICK_MS = 50;
const HISTORY_PERIOD_MS = 300_000;
const SCRAPE_PERIOD_MS = 15_000;
const EVENT_PERIOD_MS = 1_000;

type Counts = { told: Record<string, number>; bytes: number; heard: number; event_ms: number[] };

async function speak(order: SpeakersOrder): Promise<Counts> {
  const { server, ca_pem, hosts } = order;
  const counts: Counts = { told: {}, bytes: 0, heard: 0, event_ms: [] };
  const viewer = await dialBare(server, ca_pem, order.viewer);
  viewer.subscribe(patterns.telemetry(), { callback: () => (counts.heard += 1) });
  viewer.subscribe(patterns.event(), {
    callback: (error, message) => {
      if (error !== null) return;
      counts.heard += 1;
      const { at } = JSON.parse(message.string()) as { at: number };
      counts.event_ms.push(Date.now() - at);
    },
  });
  const speaking: { host: SimulatedHost; bus: NatsConnection }[] = [];
  await inTurn(hosts, async (host) => {
    speaking.push({ host, bus: await dialBare(server, ca_pem, host) });
  });
  const tell = (kind: string, bus: NatsConnection, subject: string, value: unknown) => {
    const body = Buffer.from(JSON.stringify(value));
    counts.told[kind] = (counts.told[kind] ?? 0) + 1;
    counts.bytes += body.length;
    bus.publish(subject, body);
  };
  const jobs = [
    ...Object.entries(TELEMETRY).map(([kind, { period_ms }]) => ({
      // Beside what is told every ten seconds the beat takes one more.
      period_ms: kind === "convergence" ? period_ms / 2 : period_ms,
      tell: (at: number) => {
        const { host, bus } = speaking[at] ?? never();
        const sample = samplesOf(Date.now())[kind as keyof typeof TELEMETRY];
        tell(kind, bus, subjects.telemetry(host.id, host.name, kind), sample);
      },
    })),
    {
      period_ms: HISTORY_PERIOD_MS,
      tell: (at: number) => {
        const { host, bus } = speaking[at] ?? never();
        tell("history", bus, subjects.history(host.id, host.name), historyOf(Date.now()));
      },
    },
    {
      period_ms: EVENT_PERIOD_MS * hosts.length,
      tell: (at: number) => {
        const { host, bus } = speaking[at] ?? never();
        const what = "session upstream (AS64496) went down, active";
        const event = { at: Date.now(), kind: "session", severity: "error", session: "upstream", what };
        tell("event", bus, subjects.event(host.id, host.name, "session"), event);
      },
    },
  ];
  // All of it once, as after the agents' start; from then on each in its turn.
  for (const job of jobs.slice(0, -2)) for (let at = 0; at < speaking.length; at += 1) job.tell(at);
  await Promise.all(speaking.map(({ bus }) => bus.flush()));
  const began_ms = performance.now();
  const told = jobs.map(() => 0);
  setInterval(() => {
    const gone_ms = performance.now() - began_ms;
    for (const [index, job] of jobs.entries()) {
      const due = Math.floor((gone_ms / job.period_ms) * speaking.length);
      for (let at = told[index] ?? 0; at < due; at += 1) job.tell(at % speaking.length);
      told[index] = due;
    }
  }, TICK_MS);
  return counts;
}

const never = (): never => {
  throw new TypeError("no such host");
};

async function scrape(address: string): Promise<Scraped> {
  const began_ms = performance.now();
  const text = await (await fetch(address)).text();
  return { ms: performance.now() - began_ms, text };
}

// Started by telemetry.ts: orders come over the channel, and its end ends us.
if (process.send !== undefined) {
  process.once("disconnect", () => process.exit(0));
  let counts: Counts | null = null;
  let metrics = "";
  process.on("message", async (message: SpeakersOrder | SpeakersAsk) => {
    if ("hosts" in message) {
      metrics = message.metrics;
      counts = await speak(message);
      process.send?.({ ready: true });
      return;
    }
    if ("scrape" in message) {
      process.send?.(await scrape(metrics));
      return;
    }
    if (counts === null) throw new TypeError("nobody speaks yet");
    Object.assign(counts, { told: {}, bytes: 0, heard: 0, event_ms: [] });
    const end_ms = performance.now() + message.measure_ms;
    while (performance.now() < end_ms) {
      const next_ms = Math.min(end_ms, performance.now() + SCRAPE_PERIOD_MS);
      await scrape(metrics);
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, next_ms - performance.now())));
    }
    const { told, bytes, heard, event_ms } = counts;
    const spoken: Spoken = { told: { ...told }, told_bytes: bytes, heard, event_ms: [...event_ms] };
    process.send?.(spoken);
  });
}
