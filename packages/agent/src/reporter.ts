/** Sends the convergence sample on every change and whenever the host was quiet for a while, and keeps the status file and systemd's status text true. */
import type { Bus } from "@muster/ports/bus";
import type { Log } from "@muster/ports/log";
import { FleetError } from "@muster/protocol/errors";
import type { LogBatch } from "@muster/protocol/log";
import { subjects } from "@muster/protocol/subjects";
import { BEAT_MS, CONVERGENCE_PERIOD_MS } from "@muster/protocol/telemetry/convergence";
import type { TelemetryKind } from "@muster/protocol/telemetry/index";
import type { Systemd } from "./ports/index.ts";
import { type Bearings, type Standing, statusLine } from "./standing.ts";
import { writeInMemory } from "./store.ts";
import { Bell, pause } from "./wait.ts";

const WATCHDOG_PERIOD_MS = 30_000;
/** The status file says how old it is. */
const KEEP_PERIOD_MS = 10_000;

export type Connected = { readonly bus: Bus; readonly id: string; readonly host: string };

/** Publishes samples, and knows how long the host was quiet: whatever it tells says that it is there. By `performance.now()`, which nobody sets. */
export class Voice {
  readonly beat_ms: number;
  #told_ms = Number.NEGATIVE_INFINITY;
  #stood_ms = Number.NEGATIVE_INFINITY;

  /** Only tests give a time. */
  constructor(beat_ms = BEAT_MS) {
    this.beat_ms = beat_ms;
  }

  /** One sample, if there is a connection; one that cannot be sent is dropped: the next one says how things are then. Gives whether it was sent. */
  publish(where: Connected | null, kind: TelemetryKind, sample: unknown, log: Log): boolean {
    const sent = tryPublish(where, (id, host) => subjects.telemetry(id, host, kind), sample, log);
    if (sent) this.#told_ms = performance.now();
    if (sent && kind === "convergence") this.#stood_ms = this.#told_ms;
    return sent;
  }

  /** When it has to say where it stands, if nothing is told until then. */
  get due_ms(): number {
    return Math.min(this.#told_ms + this.beat_ms, this.#stood_ms + CONVERGENCE_PERIOD_MS);
  }
}

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

export type ReportDoor = {
  readonly systemd: Systemd;
  readonly status_file: string;
  readonly log: Log;
  readonly now: () => number;
  readonly voice: Voice;
};

/** Runs until the signal aborts. */
export async function report(
  standing: Standing,
  where: () => Connected | null,
  door: ReportDoor,
  signal: AbortSignal,
): Promise<void> {
  const say = ({ convergence }: Bearings) =>
    door.voice.publish(where(), "convergence", { ...convergence, at: door.now() }, door.log);
  await Promise.all([tellChanges(standing, say, door, signal), beat(standing, say, door.voice, signal)]);
}

/** By itself: it waits for no disk, no systemd and no change that is at work. */
async function beat(
  standing: Standing,
  say: (bearings: Bearings) => void,
  voice: Voice,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    if (voice.due_ms <= performance.now()) say(standing.now);
    const wait_ms = voice.due_ms - performance.now();
    // What cannot be sent is tried at the same pace; whoever connects says it at once.
    await pause(wait_ms > 0 ? wait_ms : voice.beat_ms, signal);
  }
}

async function tellChanges(
  standing: Standing,
  say: (bearings: Bearings) => void,
  door: ReportDoor,
  signal: AbortSignal,
): Promise<void> {
  const bell = new Bell();
  let changed = true;
  let said = "";
  standing.listen(() => {
    changed = true;
    bell.ring();
  });
  while (!signal.aborted) {
    const bearings = standing.now;
    if (changed) say(bearings);
    changed = false;
    const line = statusLine(bearings);
    if (line !== said) {
      said = line;
      await door.systemd.notify({ status: line });
    }
    keep(bearings, door);
    await bell.rung(KEEP_PERIOD_MS, signal);
  }
}

function keep(bearings: Bearings, door: { status_file: string; log: Log; now: () => number }): void {
  const body = { at: door.now(), pid: process.pid, line: statusLine(bearings), ...bearings };
  try {
    writeInMemory(door.status_file, JSON.stringify(body));
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
