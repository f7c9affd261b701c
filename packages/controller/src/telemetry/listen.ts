/** Listens to telemetry and events, once for everything: last values, records and declared hosts that other controllers changed, rollouts they ordered. */
import type { Bus } from "@muster/ports/bus";
import type { Log } from "@muster/ports/log";
import { FleetEvent } from "@muster/protocol";
import { FleetError, parseJson } from "@muster/protocol/errors";
import type { Events } from "../events.ts";
import type { DeclaredHosts } from "../records/declared.ts";
import type { HostRecords } from "../records/hosts.ts";
import type { RolloutEngine } from "../rollout/engine.ts";
import type { LastValues } from "./last.ts";

export type ListenPorts = {
  readonly bus: Pick<Bus, "subscribe">;
  readonly id: string;
  readonly log: Log;
  readonly now: () => number;
  readonly records: HostRecords;
  readonly declared: Pick<DeclaredHosts, "renew">;
  readonly last: LastValues;
  readonly engine: RolloutEngine;
  readonly events: Pick<Events, "emit">;
};

/** How often a record is read again for a key that does not fit it. */
const STRANGER_MS = 60_000;
const STRANGERS = 1_000;

/** Returns the function that ends it. */
export function listen(ports: ListenPorts): () => void {
  const { bus, records, last, engine, now } = ports;
  const strangers = new Map<string, number>();

  const strange = async (host: string, id: string, subject: string, body: Uint8Array): Promise<void> => {
    const key = `${host}.${id}`;
    const asked_at = strangers.get(key);
    if (asked_at !== undefined && Math.abs(now() - asked_at) < STRANGER_MS) return;
    if (strangers.size >= STRANGERS) strangers.clear();
    strangers.set(key, now());
    const kept = await records.fetch(host);
    if (kept?.record.id === id) {
      strangers.delete(key);
      hear(subject, body);
      return;
    }
    const whose = kept === null ? "no host of that name is enrolled" : "another key is enrolled";
    ports.events.emit({
      host: kept === null ? "_" : host,
      kind: "credentials",
      severity: "error",
      what: `telemetry as ${host} comes from ${id}, and ${whose}: it is not taken`,
    });
  };
  const hear = (subject: string, body: Uint8Array): Promise<void> | undefined => {
    const { result, host, id } = last.take(subject, body, now());
    if (result === "stranger") return strange(host, id, subject, body);
    if (result === "invalid")
      ports.log.warn({ subject, size_bytes: body.length }, "telemetry that cannot be read");
    else if (result !== "old") engine.heard(host);
    return undefined;
  };
  const hearEvent = async (subject: string, body: Uint8Array): Promise<void> => {
    const [, id = "", host = "", kind = ""] = subject.split(".");
    if (id === ports.id) return;
    if (kind === "enrolment" && host !== "_" && records.byName(host)?.id !== id) await records.fetch(host);
    if (host !== "_") return;
    const { rollout } = parseJson(FleetEvent, body, subject);
    if (rollout !== undefined) engine.follow(rollout);
    if (kind === "host") await ports.declared.renew();
  };

  const ends = [
    bus.subscribe("telemetry.>", { concurrency: 64, pending_limit: 50_000 }, (message) =>
      hear(message.subject, message.body),
    ),
    bus.subscribe("event.>", { concurrency: 16, pending_limit: 10_000 }, async (message) => {
      try {
        await hearEvent(message.subject, message.body);
      } catch (error) {
        if (!(error instanceof FleetError)) throw error;
        ports.log.warn({ err: error, subject: message.subject }, "an event that cannot be followed");
      }
    }),
  ];
  return () => {
    for (const end of ends) end();
  };
}
