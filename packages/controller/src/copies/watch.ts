/**
 * Sees at once when a host's key is used twice: hears of every connection to account FLEET, and has those judged that a host has more than one of. Every
 * controller listens, so that a new leader knows; the leader judges.
 */
import type { Bus } from "@muster/ports/bus";
import type { Log } from "@muster/ports/log";
import { FleetError } from "@muster/protocol/errors";
import { patterns, subjects } from "@muster/protocol/subjects";
import type { Events } from "../events.ts";
import type { HostRecords } from "../records/hosts.ts";
import { type Connection, Connections, readEvent, readPage } from "./connections.ts";
import { judge, PATIENCE, type Patience } from "./judge.ts";

/** Judged side by side; after a broker's end thousands may look doubled for a moment, and wait their turn. */
const AT_ONCE = 64;
const PAGE = 1_024;
const PAGES = 200;
/** Every broker of a cluster answers, and nobody says how many there are. */
const PAGE_MS = 1_000;

export type WatchPorts = {
  readonly bus: Pick<Bus, "subscribe" | "collect" | "request" | "onStatus">;
  readonly records: HostRecords;
  readonly events: Pick<Events, "emit">;
  readonly leading: () => boolean;
  readonly log: Log;
  readonly now: () => number;
  readonly patience?: Patience;
};

/** Watches until the signal aborts. `lead`: looks at what was there before this controller led. */
export function watchCopies(ports: WatchPorts, signal: AbortSignal): { lead(): void } {
  const { bus, records, log } = ports;
  const connections = new Connections();
  const patience = ports.patience ?? PATIENCE;
  const waiting = new Set<string>();
  let judged = 0;

  const look = (key: string) => {
    if (!ports.leading() || records.nameOf(key) === undefined) return;
    waiting.add(key);
    next();
  };
  const under_way = new Set<string>();
  const next = () => {
    for (const id of waiting) {
      if (judged >= AT_ONCE || signal.aborted) return;
      if (under_way.has(id)) continue;
      waiting.delete(id);
      const name = records.nameOf(id);
      if (name === undefined || connections.of(id).length < 2) continue;
      judged += 1;
      under_way.add(id);
      judge({ name, id }, { ...ports, connections, patience }, signal)
        .then((verdict) => {
          const said = { host: name, verdict };
          // Whoever is closed dials again, every few seconds.
          if (verdict === "known") log.debug(said, "its key had two connections");
          else log.info(said, "its key had two connections");
        })
        .catch((error: unknown) => {
          if (!(error instanceof FleetError)) throw error;
          if (!signal.aborted) log.warn({ err: error, host: name }, "two connections could not be judged");
        })
        .finally(() => {
          judged -= 1;
          under_way.delete(id);
          next();
        });
    }
  };

  /** A host that moved; or a copy that is there only while its host is away. */
  const tellPlace = ({ key, from }: Connection, before: readonly string[]) => {
    const name = records.nameOf(key);
    if (!ports.leading() || name === undefined) return;
    ports.events.emit({
      host: name,
      kind: "credentials",
      severity: "info",
      what: `is connected from ${from}, where it was not before (${before.join(", ")}): if no machine of yours is there, ctl host replace ${name}`,
    });
  };

  const load = async () => {
    connections.clear();
    for (let page = 0; page < PAGES; page++) {
      let more = false;
      const body = Buffer.from(JSON.stringify({ auth: true, offset: page * PAGE, limit: PAGE }));
      await bus
        .collect(subjects.connections(), body, { timeout_ms: PAGE_MS, signal }, (message) => {
          const { total, connections: found } = readPage(message.body);
          for (const one of found) {
            connections.opened(one);
            connections.placed(one);
          }
          more ||= total > (page + 1) * PAGE;
          return false;
        })
        .catch((error: unknown) => {
          if (!(error instanceof FleetError) || error.code !== "TIMEOUT") throw error;
        });
      if (!more) break;
    }
    for (const key of connections.doubled()) look(key);
  };
  const loadOrSay = () =>
    load().catch((error: unknown) => {
      if (!(error instanceof FleetError)) throw error;
      if (!signal.aborted)
        log.warn({ err: error }, "who is connected is not known: a copy of a host is seen at its renewal");
    });

  const options = { concurrency: 1, pending_limit: 50_000 };
  const ends = [
    bus.subscribe(patterns.connected, options, ({ body }) => {
      const one = readEvent(body);
      if (one === null) return;
      const before = connections.placed(one);
      // Of two at a time the judge says what they are.
      if (connections.opened(one)) look(one.key);
      else if (before !== null) tellPlace(one, before);
    }),
    bus.subscribe(patterns.disconnected, options, ({ body }) => {
      const one = readEvent(body);
      if (one !== null) connections.closed(one);
    }),
    bus.onStatus((event) => {
      if (event.type === "reconnected") void loadOrSay();
    }),
  ];
  const end = () => {
    for (const stop of ends) stop();
  };
  signal.addEventListener("abort", end, { once: true });
  void loadOrSay();
  return {
    lead() {
      for (const key of connections.doubled()) look(key);
    },
  };
}
