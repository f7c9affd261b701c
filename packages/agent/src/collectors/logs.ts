/**
 * Log lines of what is declared: taken from the ledger when that changes, followed and sent by `logs/shipper.ts`. On a host without a `log` resource nothing is
 * loaded, and nothing wakes but with the reconciler.
 *
 * Period 1 s while there are lines; cost one journalctl, a stream a container, at most 2,000 lines and four messages a second; 512 KiB wait, 256 units, 64 containers.
 */
import type { Bus } from "@muster/ports/bus";
import type { Log as LogSpec } from "@muster/protocol/resources/log";
import { subjects } from "@muster/protocol/subjects";
import type { Events } from "../events.ts";
import type { Ledger } from "../ledger.ts";
import type { LogShipper, ShipperDoor } from "../logs/shipper.ts";
import { type Connected, publishLog } from "../reporter.ts";
import type { Standing } from "../standing.ts";
import { Bell } from "../wait.ts";

export type LogsDoor = Pick<ShipperDoor, "ports" | "log" | "file"> & {
  readonly ledger: Pick<Ledger, "state">;
  readonly standing: Pick<Standing, "listen">;
  readonly events: Pick<Events, "tell">;
  where(): Connected | null;
};

export type LogsCollector = {
  /** Runs until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
};

const NEVER_MS = 86_400_000;
/** That the broker refuses lines is an event, once in so long: it does so with every message. */
const TOLD_EVERY_MS = 3_600_000;
const REFUSED =
  "the broker refuses this host's log lines: this fleet's account is from before them; type the ctl init line again";

export function createLogs(door: LogsDoor): LogsCollector {
  const { ports, log, file, events, where } = door;
  const bell = new Bell();
  // What is declared changes with a change of how the host stands.
  door.standing.listen(() => bell.ring());
  let heard: Bus | null = null;
  let told_at = Number.NEGATIVE_INFINITY;
  const hearRefusals = ({ bus, id, host }: Connected) => {
    if (bus === heard) return;
    heard = bus;
    bus.onStatus((event) => {
      if (event.type !== "denied" || event.subject !== subjects.log(id, host)) return;
      if (performance.now() - told_at < TOLD_EVERY_MS) return;
      told_at = performance.now();
      log.warn({}, REFUSED);
      events.tell({ kind: "resource", severity: "warning", what: REFUSED });
    });
  };
  const shipping: ShipperDoor = {
    ...{ ports, log, file },
    tell: (event) => events.tell(event),
    send(batch) {
      const at = where();
      if (at !== null) hearRefusals(at);
      return publishLog(at, batch, log);
    },
  };
  return {
    async run(signal) {
      let seen: unknown = null;
      let running: { shipper: LogShipper; life: AbortController; end: Promise<void> } | null = null;
      let broken: unknown = null;
      while (!signal.aborted) {
        const { resources } = door.ledger.state;
        if (resources !== seen) {
          seen = resources;
          const declared = declaredIn(resources);
          if (declared.length > 0) {
            const { LogShipper, sourcesOf } = await import("../logs/shipper.ts");
            if (running === null) {
              const life = new AbortController();
              const until = AbortSignal.any([life.signal, signal]);
              const shipper = new LogShipper(shipping, until);
              const end = shipper.run(until).catch((error: unknown) => {
                broken = error;
                bell.ring();
              });
              running = { shipper, life, end };
            }
            running.shipper.declare(sourcesOf(declared));
          } else if (running !== null) {
            running.shipper.declare({ units: new Map(), containers: new Set() });
            running.life.abort();
            await running.end;
            running = null;
          }
        }
        if (broken !== null) throw broken;
        await bell.rung(NEVER_MS, signal);
      }
      await running?.end;
    },
  };
}

function declaredIn(resources: Ledger["state"]["resources"]): LogSpec[] {
  return Object.values(resources).flatMap(({ resource }) => (resource.kind === "log" ? [resource.spec] : []));
}
