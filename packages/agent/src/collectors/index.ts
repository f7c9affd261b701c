/** Runs the collectors: each at its own pace, each sample published as it comes. */
import type { Log } from "@muster/ports/log";
import { FleetError } from "@muster/protocol/errors";
import { HEALTH_PERIOD_MS } from "@muster/protocol/telemetry/health";
import type { FaultyKind, TelemetryKind } from "@muster/protocol/telemetry/index";
import type { Events } from "../events.ts";
import { pause } from "../wait.ts";
import type { BgpCollector } from "./bgp.ts";
import type { ChecksCollector } from "./checks.ts";
import type { HealthCollector } from "./health.ts";
import type { LogsCollector } from "./logs.ts";
import type { SteadyLoop } from "./steady.ts";

export type CollectDoor = {
  readonly health: HealthCollector;
  readonly bgp: BgpCollector;
  readonly checks: ChecksCollector;
  readonly logs: LogsCollector;
  readonly steady: readonly SteadyLoop<FaultyKind>[];
  readonly events: Pick<Events, "tell">;
  readonly log: Log;
  /** Never fails and never waits; false where there was no connection. */
  publish(kind: TelemetryKind, sample: unknown): boolean;
};

/** Runs until the signal aborts. Convergence is sent by `reporter.ts`, which knows of every change. */
export async function collect(door: CollectDoor, signal: AbortSignal): Promise<void> {
  const every = async (wait: () => Promise<void>, what: string, turn: () => Promise<void>) => {
    let complained = "";
    while (!signal.aborted) {
      try {
        await turn();
        complained = "";
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof FleetError)) throw error;
        if (error.message !== complained) door.log.warn({ err: error }, `${what}: ${error.message}`);
        complained = error.message;
      }
      await wait();
    }
  };
  const steadily = async (loop: SteadyLoop<FaultyKind>) => {
    await loop.begin(signal);
    await every(
      () => loop.wait(signal),
      loop.kind,
      async () => {
        const { sample, events } = await loop.turn(signal);
        for (const event of events) door.events.tell(event);
        // What finds no connection is offered again: a change must not wait for its period.
        if (sample !== null && door.publish(loop.kind, sample)) loop.sent();
      },
    );
  };
  await Promise.all([
    every(
      () => pause(HEALTH_PERIOD_MS, signal),
      "health",
      async () => {
        door.publish("health", await door.health.sample(signal));
      },
    ),
    door.logs.run(signal),
    door.checks.run((sample) => door.publish("checks", sample), signal),
    every(
      () => pause(door.bgp.pace_ms(), signal),
      "bgp",
      async () => {
        const { sample, events } = await door.bgp.poll(signal);
        for (const event of events) door.events.tell(event);
        if (sample !== null) door.publish("bgp", sample);
      },
    ),
    ...door.steady.map(steadily),
  ]);
}
