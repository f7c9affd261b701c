/** The controller's own events: about a host, or about the fleet (`_`). What strangers can cause is limited, so that they cannot flush the history. */
import type { Bus } from "@muster/ports/bus";
import type { Log } from "@muster/ports/log";
import { type EventKind, type FleetEvent, HostName, subjects } from "@muster/protocol";

export const FLEET = "_";
/** What machines without credentials may cause in a minute. */
const STRANGERS_PER_MINUTE = 60;

export type EventInput = {
  readonly host: string;
  readonly kind: EventKind;
  readonly severity: FleetEvent["severity"];
  readonly what: string;
  readonly by?: string;
  readonly rollout?: string;
};

export class Events {
  readonly #bus: Pick<Bus, "publishStored">;
  readonly #id: string;
  readonly #log: Log;
  readonly #now: () => number;
  #minute = { began: 0, count: 0 };

  constructor(bus: Pick<Bus, "publishStored">, id: string, log: Log, now: () => number) {
    this.#bus = bus;
    this.#id = id;
    this.#log = log;
    this.#now = now;
  }

  /** Publishes without making anybody wait; a failure is in the log. */
  emit(input: EventInput): void {
    const { host, ...fields } = input;
    const where = HostName.safeParse(host).success ? host : FLEET;
    const event: FleetEvent = { at: this.#now(), ...fields, what: fields.what.slice(0, 4_000) };
    this.#log.info({ host: where, kind: event.kind, severity: event.severity }, event.what);
    this.#bus
      .publishStored(subjects.event(this.#id, where, event.kind), Buffer.from(JSON.stringify(event)))
      .catch((error) => this.#log.warn({ err: error, what: event.what }, "an event could not be stored"));
  }

  /** An event that a machine without credentials caused: always about the fleet, and only so many. */
  emitForStranger(input: Omit<EventInput, "host">): void {
    const now = this.#now();
    if (now - this.#minute.began > 60_000) this.#minute = { began: now, count: 0 };
    this.#minute.count++;
    if (this.#minute.count <= STRANGERS_PER_MINUTE) this.emit({ ...input, host: FLEET });
    else if (this.#minute.count === STRANGERS_PER_MINUTE + 1)
      this.emit({
        host: FLEET,
        kind: input.kind,
        severity: "warning",
        what: `more than ${STRANGERS_PER_MINUTE} such events by unknown machines in a minute: the rest is not kept`,
      });
  }
}
