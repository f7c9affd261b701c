/** What a controller does beside answering: watches for silent hosts, renews its own papers, says how its connection is. */
import type { Bus, BusEvent } from "@muster/ports/bus";
import type { Log } from "@muster/ports/log";
import { FleetError } from "@muster/protocol/errors";
import type { Identity } from "./certificates/identity.ts";
import type { Events } from "./events.ts";
import type { HostRecords } from "./records/hosts.ts";
import { pause } from "./retry.ts";
import type { RolloutEngine } from "./rollout/engine.ts";
import type { Status } from "./status.ts";
import type { LastValues } from "./telemetry/last.ts";
import type { Silence } from "./telemetry/silence.ts";

const LOOK_MS = 1_000;
/** By so much the clock may run away from the time that passes (CLOCK_MONOTONIC, which a sleep of the machine does not move) until it was set, or the machine slept. */
const CLOCK_SET_MS = 1_000;
/**
 * More than this between two looks is no slow look: this process stood still, and has not yet heard what was said meanwhile. With a beat before it, it is less than what makes a host silent.
 */
const STALL_MS = 5_000;
const RENEW_CHECK_MS = 60_000;

/** Tells who fell silent and who came back, until the signal aborts. */
export async function watchSilence(
  ports: {
    records: Pick<HostRecords, "names" | "byName">;
    last: Pick<LastValues, "heardAt" | "clockSet">;
    silence: Silence;
    engine: Pick<RolloutEngine, "leading">;
    events: Pick<Events, "emit">;
    log: Log;
    now: () => number;
  },
  signal: AbortSignal,
  look_ms = LOOK_MS,
  passed = () => performance.now(),
): Promise<void> {
  const { records, last, now } = ports;
  let [looked_at, before] = [now(), passed()];
  while (!signal.aborted) {
    const [at, after] = [now(), passed()];
    const passed_ms = after - before;
    const by_ms = Math.round(at - looked_at - passed_ms);
    [looked_at, before] = [at, after];
    if (Math.abs(by_ms) > CLOCK_SET_MS) {
      ports.log.warn({ by_ms }, "the clock was set, or this machine slept");
      last.clockSet(by_ms, at);
      ports.silence.listenAnew(at);
    } else if (passed_ms > STALL_MS) {
      ports.log.warn({ passed_ms: Math.round(passed_ms) }, "this process stood still");
      ports.silence.listenAnew(at);
    }
    const names = records.names().filter((host) => records.byName(host)?.state === "enrolled");
    const heard = names.map((host) => ({ host, heard_at: last.heardAt(host) }));
    for (const { host, silent, heard_at } of ports.silence.look(heard, at)) {
      // Every controller watches, so that a new leader knows; one tells.
      if (!ports.engine.leading) continue;
      const since = heard_at === null ? "" : ` since ${new Date(heard_at).toISOString()}`;
      const what = silent ? `silent${since}` : "is heard again";
      ports.events.emit({ host, kind: "host", severity: silent ? "error" : "info", what });
    }
    await pause(look_ms, signal);
  }
}

/** Dials again with a fresh JWT in good time, and keeps a certificate to sign commands with. */
export async function keepIdentity(
  identity: Identity,
  bus: Bus,
  ports: { log: Log; now: () => number },
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await identity.signer();
      const due = ports.now() >= identity.renew_at;
      // Signing first: a sealed Vault must not cost the connection that there is.
      if (due) await identity.busCredentials();
      if (due && ports.now() < identity.renew_at) await bus.reconnect();
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      if (!signal.aborted) ports.log.warn({ err: error }, "the controller's own papers could not be renewed");
    }
    await pause(RENEW_CHECK_MS * (0.8 + 0.4 * Math.random()), signal);
  }
}

/** What the connection does, said where it belongs. */
export function tellBus(event: BusEvent, { log, status }: { log: Log; status: Status }): void {
  if (event.type === "denied")
    log.error({ operation: event.operation, subject: event.subject }, "the broker refused a subject");
  else if (event.type === "handler_failed")
    log.error({ subject: event.subject, err: event.error }, "a mistake in this program");
  else if (event.type === "dropped")
    log.warn({ subject: event.subject, count: event.count }, "too much at once: messages were dropped");
  else if ("error" in event) status.say(`waiting for the broker: ${event.error.message}`);
  else log.info({ server: event.server }, event.type);
}
