/**
 * The controller's own audit: records go one after the other into stream AUDIT, since a controller keeps nothing else. One that the broker did not
 * acknowledge is sent again in the same form until it is, so that the chain has no gap of its own making; what has to be recorded before it is done is not
 * done meanwhile. A controller has a new key, and so a new chain, each time that it starts: its first records say where those before it ended.
 */
import type { AuditDoor } from "@muster/ports/audit";
import { entryOf } from "@muster/ports/audit";
import type { Bus } from "@muster/ports/bus";
import type { Log } from "@muster/ports/log";
import {
  AUDIT_KINDS,
  type AuditEntry,
  type AuditHead,
  AuditRecord,
  chained,
  HostId,
  hashOfRecord,
  NO_HEAD,
  subjects,
} from "@muster/protocol";
import { FleetError, parseJson } from "@muster/protocol/errors";
import { z } from "zod";
import type { Storage } from "../records/storage.ts";
import { pause } from "../retry.ts";

const WAITING = 5_000;
const RETRY_MS = 1_000;
/** How long the end of the program waits for what is not sent yet. */
const LAST_MS = 3_000;
/** Key of bucket `fleet`: who has written as a controller, newest first. */
const KEY = "audit-writers";
const WRITERS = 8;

export type AuditPorts = {
  readonly bus: Pick<Bus, "publishStored" | "directGet" | "kv">;
  readonly id: string;
  readonly name: string;
  readonly log: Log;
  readonly now: () => number;
  readonly storage: Pick<Storage, "noted">;
};

type Waiting = {
  readonly entry: AuditEntry;
  taken?: (seq: number) => void;
  refused?: (error: FleetError) => void;
};

export class Audit implements AuditDoor {
  readonly #ports: AuditPorts;
  readonly #queue: Waiting[] = [];
  #head: AuditHead = NO_HEAD;
  /** Made and not acknowledged: it is the same one until it is. */
  #made: ReturnType<typeof chained> | null = null;
  #stalled: FleetError | null = null;
  #lost = 0;
  #running: Promise<void> | null = null;
  readonly #ended = new AbortController();

  constructor(ports: AuditPorts) {
    this.#ports = ports;
  }

  /** The newest record that the stream has. */
  get head(): AuditHead {
    return this.#head;
  }

  /** Says that this controller writes from now on, and where those before it ended. Errors: those of the bus. */
  async begin(): Promise<void> {
    const { bus, id, name, now } = this.#ports;
    const kv = bus.kv("fleet");
    for (let tries = 1; ; tries++) {
      const kept = await kv.get(KEY);
      const before =
        kept === null ? [] : parseJson(Writers, kept.value, "the list of controllers that wrote");
      const note = {
        at: now(),
        kind: "log" as const,
        by: null,
        from: name,
        authority: "none",
        result: "done" as const,
      };
      try {
        const bytes = Buffer.from(JSON.stringify([id, ...before].slice(0, WRITERS)));
        if (kept === null) await kv.create(KEY, bytes);
        else await kv.update(KEY, bytes, kept.revision);
      } catch (error) {
        if (error instanceof FleetError && error.code === "CONFLICT" && tries < 5) continue;
        throw error;
      }
      this.tell(entryOf({ ...note, what: "start", target: name }));
      const heads = await Promise.all(before.map(async (each) => ({ each, head: await newest(bus, each) })));
      for (const { each, head } of heads)
        if (head.seq > 0)
          this.tell(entryOf({ ...note, what: "follows", target: `${each} ${head.seq} ${head.hash}` }));
      return;
    }
  }

  before(entry: AuditEntry): Promise<number> {
    if (this.#stalled !== null)
      return Promise.reject(
        new FleetError("UNAUDITED", `the broker stores no record: ${this.#stalled.message}`, {
          cause: this.#stalled,
        }),
      );
    return new Promise((taken, refused) => this.#add({ entry, taken, refused }));
  }

  tell(entry: AuditEntry): void {
    this.#add({ entry });
  }

  /** Sends what waits, as far as it can be sent within a few seconds. */
  async end(): Promise<void> {
    const late = setTimeout(() => this.#ended.abort(), LAST_MS);
    await this.#running;
    clearTimeout(late);
    this.#ended.abort();
  }

  #add(waiting: Waiting): void {
    if (this.#queue.length >= WAITING) {
      this.#lost++;
      waiting.refused?.(new FleetError("UNAUDITED", `${WAITING} records wait already`));
      return;
    }
    this.#queue.push(waiting);
    this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    const { bus, id, name, log, storage } = this.#ports;
    for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
      this.#made ??= chained(this.#head, { id, host: name }, next.entry);
      const { record, head } = this.#made;
      const body = Buffer.from(JSON.stringify(record));
      try {
        // The hash makes it one record in the stream, also when the answer to the first sending was lost.
        await storage.noted("audit", () =>
          bus.publishStored(subjects.audit(id, record.kind), body, { msg_id: head.hash }),
        );
      } catch (error) {
        if (!(error instanceof FleetError)) throw error;
        if (this.#stalled === null)
          log.error({ err: error }, "the audit cannot be written: nothing is changed meanwhile");
        this.#stalled = error;
        for (const each of this.#queue)
          each.refused?.(
            new FleetError("UNAUDITED", `the broker stores no record: ${error.message}`, { cause: error }),
          );
        if (this.#ended.signal.aborted) break;
        await pause(RETRY_MS, this.#ended.signal);
        continue;
      }
      if (this.#stalled !== null) log.warn({ lost: this.#lost }, "the audit is written again");
      this.#stalled = null;
      this.#made = null;
      this.#head = head;
      this.#queue.shift();
      next.taken?.(record.seq);
    }
    // In the same turn in which the queue was found empty: whoever adds after that begins anew.
    this.#running = null;
  }
}

const Writers = z.array(HostId).max(64);

/** The newest record of a writer, of all kinds. */
async function newest(bus: Pick<Bus, "directGet">, id: string): Promise<AuditHead> {
  const last = await Promise.all(AUDIT_KINDS.map((kind) => bus.directGet("AUDIT", subjects.audit(id, kind))));
  return last.reduce<AuditHead>((head, message) => {
    if (message === null) return head;
    const record = parseJson(AuditRecord, message.body, message.subject);
    return record.seq > head.seq ? { seq: record.seq, hash: hashOfRecord(record) } : head;
  }, NO_HEAD);
}
