/** Sends the convergence sample on every change and every 10 s, and keeps the status file and systemd's status text true. */
import type { Bus } from "@muster/ports/bus";
import type { Log } from "@muster/ports/log";
import { FleetError } from "@muster/protocol/errors";
import type { LogBatch } from "@muster/protocol/log";
import { subjects } from "@muster/protocol/subjects";
import { CONVERGENCE_PERIOD_MS } from "@muster/protocol/telemetry/convergence";
import type { TelemetryKind } from "@muster/protocol/telemetry/index";
import type { Systemd } from "./ports/index.ts";
import { type Bearings, type Standing, statusLine } from "./standing.ts";
import { writeWhole } from "./store.ts";
import { Bell, pause } from "./wait.ts";

const WATCHDOG_PERIOD_MS = 30_000;

export type Connected = { readonly bus: Bus; readonly id: string; readonly host: string };

/** Publishes one sample, if there is a connection; a sample that cannot be sent is dropped: the next one says how things are then. Gives whether it was sent. */
export const publishSample = (
  where: Connected | null,
  kind: TelemetryKind,
  sample: unknown,
  log: Log,
): boolean => tryPublish(where, (id, host) => subjects.telemetry(id, host, kind), sample, log);

/** The same of log lines, which their buffer keeps. */
export const publishLog = (where: Connected | null, batch: LogBatch, log: Log): boolean =>
  tryPublish(where, subjects.log, batch, log);

function tryPublish(
  where: Connected | null,
  subjectOf: (id: string, host: string) => string,
  what: unknown,
  log: Log,
): boolean {
  if (where === null || !where.bus.connected) return false;
  const subject = subjectOf(where.id, where.host);
  try {
    where.bus.publish(subject, Buffer.from(JSON.stringify(what)));
    return true;
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    log.debug({ code: error.code, subject }, "it could not be published");
    return false;
  }
}

/** Runs until the signal aborts. */
export async function report(
  standing: Standing,
  where: () => Connected | null,
  door: { systemd: Systemd; status_file: string; log: Log; now: () => number },
  signal: AbortSignal,
): Promise<void> {
  const bell = new Bell();
  let said = "";
  standing.listen(() => bell.ring());
  while (!signal.aborted) {
    const bearings = standing.now;
    publishSample(where(), "convergence", { ...bearings.convergence, at: door.now() }, door.log);
    const line = statusLine(bearings);
    if (line !== said) {
      said = line;
      await door.systemd.notify({ status: line });
    }
    await keep(bearings, door);
    await bell.rung(CONVERGENCE_PERIOD_MS, signal);
  }
}

async function keep(
  bearings: Bearings,
  door: { status_file: string; log: Log; now: () => number },
): Promise<void> {
  const body = { at: door.now(), pid: process.pid, line: statusLine(bearings), ...bearings };
  try {
    await writeWhole(door.status_file, JSON.stringify(body));
  } catch (error) {
    door.log.error({ err: error }, "the status file cannot be written");
  }
}

/** systemd restarts an agent whose event loop stands still. */
export async function watchdog({ systemd }: { systemd: Systemd }, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await systemd.notify({ watchdog: true });
    await pause(WATCHDOG_PERIOD_MS, signal);
  }
}
