/**
 * The host's audit: one chain of records, first on the host's own disk, then in the stream, in order. What changes the host is recorded before it is done.
 *
 * When the disk takes no record (full, read-only) the host is not shut to those who come to mend it: the record goes to the stream first, whose
 * acknowledgement stands for the disk, and it is said as an error. Only where neither takes it the act is refused. What is in memory then is written as
 * soon as the disk takes it again; after a restart in between the chain begins again from the disk, which `ctl audit --verify` shows.
 *
 * While the broker is away records wait in the file, whose bound is that of the wait too: of what is pushed out unsent the next record tells.
 */
import { type AuditDoor, entryOf } from "@muster/ports/audit";
import type { Bus } from "@muster/ports/bus";
import type { Log } from "@muster/ports/log";
import type { AuditEntry, AuditHead, AuditRecord } from "@muster/protocol";
import { chained, hashOfRecord } from "@muster/protocol/audit";
import { FleetError } from "@muster/protocol/errors";
import { LATE_HEADER } from "@muster/protocol/streams";
import { subjects } from "@muster/protocol/subjects";
import { z } from "zod";
import type { Events } from "../events.ts";
import { readKept, writeKept } from "../store.ts";
import { Bell, pause } from "../wait.ts";
import { AuditFile } from "./file.ts";

/** Records that wait in memory; the rest waits in the file alone. */
const IN_MEMORY = 1_000;
/** Entries that nobody could put anywhere; more are dropped and counted. */
const UNWRITTEN = 1_000;
const RETRY_MS = 2_000;
const STREAM_MS = 5_000;
/** What is older than this when it is sent says so. */
const LATE_MS = 10_000;
const SENT_EVERY = 100;
/** Within the time in which the stream knows what comes twice. */
const NOTED_EVERY_MS = 60_000;

const Sent = z.object({ seq: z.int().min(0) });

export type AuditPlaces = { readonly file: string; readonly sent: string };

type Pending = {
  readonly entry: AuditEntry;
  taken?: (seq: number) => void;
  refused?: (error: FleetError) => void;
};

export type AuditPorts = {
  readonly id: string;
  /** The host's name, once it has one. */
  host(): string | null;
  readonly log: Log;
  readonly events: Pick<Events, "tell">;
  readonly now: () => number;
};

export type Head = AuditHead & { readonly waiting: number; readonly unwritten: number };

export class HostAudit implements AuditDoor {
  readonly #file: AuditFile;
  readonly #sent_file: string;
  readonly #ports: AuditPorts;
  #head: AuditHead;
  #sent: number;
  /** Up to here records may be sent: they are on disk, or the disk fails. One that a crash would take back must not be in the stream. */
  #durable: number;
  /** Made and not on disk, oldest first. */
  #unwritten: AuditRecord[] = [];
  /** Made and not sent, oldest first, without gaps; what is older is in the file. */
  #memory: AuditRecord[] = [];
  #pending: Pending[] = [];
  #writing = false;
  #lost = 0;
  #disk_fails = false;
  readonly #bell = new Bell();
  readonly #acknowledged = new Set<() => void>();

  private constructor(file: AuditFile, sent_file: string, ports: AuditPorts, head: AuditHead, sent: number) {
    this.#file = file;
    this.#sent_file = sent_file;
    this.#ports = ports;
    this.#head = head;
    this.#sent = sent;
    this.#durable = head.seq;
  }

  /** Finds the end of the chain on disk. A disk that cannot be read is told, and the chain begins anew. */
  static async open(places: AuditPlaces, ports: AuditPorts, limit_bytes?: number): Promise<HostAudit> {
    const file = new AuditFile(places.file, limit_bytes);
    let damage: string | null;
    let head: AuditHead = { seq: 0, hash: "0".repeat(64) };
    try {
      ({ head, damage } = await file.open());
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      damage = error.detail;
    }
    const sent = await readKept(places.sent, Sent).catch((error: unknown) => {
      if (error instanceof FleetError) return null;
      throw error;
    });
    const audit = new HostAudit(file, places.sent, ports, head, Math.min(sent?.value.seq ?? 0, head.seq));
    audit.tell(audit.#own("start", damage ?? "the agent started", damage === null));
    if (damage !== null)
      ports.events.tell({ kind: "refusal", severity: "error", what: `the audit was damaged: ${damage}` });
    return audit;
  }

  /** The newest record that was made, and how far it has come. */
  get head(): Head {
    return { ...this.#head, waiting: this.#head.seq - this.#sent, unwritten: this.#unwritten.length };
  }

  before(entry: AuditEntry): Promise<number> {
    return new Promise((taken, refused) => this.#add({ entry, taken, refused }));
  }

  tell(entry: AuditEntry): void {
    this.#add({ entry });
  }

  /** Sends what the stream does not have, in order, until the signal aborts. */
  async run(where: () => { bus: Bus; id: string } | null, signal: AbortSignal): Promise<void> {
    let noted = this.#sent;
    let noted_at = performance.now();
    const note = async () => {
      if (noted === this.#sent) return;
      noted = this.#sent;
      noted_at = performance.now();
      await writeKept(this.#sent_file, { seq: noted }).catch((error: unknown) => {
        // What was sent is sent once more after a restart, in the same form.
        if (!(error instanceof FleetError)) throw error;
      });
    };
    while (!signal.aborted) {
      const target = where();
      let failed = target === null;
      try {
        while (target !== null && this.#durable > this.#sent && !signal.aborted) {
          const next = await this.#next();
          if (next !== null) await this.#send(target, next);
          if (this.#sent - noted >= SENT_EVERY) await note();
        }
      } catch (error) {
        if (!(error instanceof FleetError)) throw error;
        this.#ports.log.debug({ code: error.code }, "the audit waits for the broker");
        failed = true;
      }
      // Three syncs for each record would be more than the record itself takes.
      if (!failed && performance.now() - noted_at >= NOTED_EVERY_MS) await note();
      if (this.#unwritten.length > 0) this.#write();
      if (failed || this.#unwritten.length > 0) await pause(RETRY_MS, signal);
      else if (this.#durable === this.#sent) await this.#bell.rung(NOTED_EVERY_MS, signal);
    }
    await note();
  }

  async #send({ bus, id }: { bus: Bus; id: string }, record: AuditRecord): Promise<void> {
    const late_ms = this.#ports.now() - record.at;
    const headers = late_ms > LATE_MS ? { [LATE_HEADER]: String(late_ms) } : {};
    const body = Buffer.from(JSON.stringify(record));
    await bus.publishStored(subjects.audit(id, record.kind), body, { headers, msg_id: hashOfRecord(record) });
    this.#sent = record.seq;
    this.#memory.shift();
    for (const wake of [...this.#acknowledged]) wake();
  }

  /** The record to be sent next, from memory or from the file; null when what came next is in neither, and is given up. */
  async #next(): Promise<AuditRecord | null> {
    if (this.#memory[0]?.seq !== this.#sent + 1) {
      const found = await this.#file.after(this.#sent, IN_MEMORY);
      const last = found.at(-1)?.seq ?? this.#sent;
      const rest = found.length < IN_MEMORY ? this.#memory.filter(({ seq }) => seq > last) : [];
      this.#memory = [...found, ...rest];
    }
    const [next] = this.#memory;
    if (next?.seq === this.#sent + 1) return next;
    const until = next === undefined ? this.#durable : next.seq - 1;
    const what = `records ${this.#sent + 1} to ${until} of the audit were pushed out of the file before the broker was there`;
    this.#sent = until;
    this.#ports.events.tell({ kind: "refusal", severity: "error", what });
    this.tell(this.#own("lost", what, false));
    return null;
  }

  #own(what: string, target: string, good: boolean): AuditEntry {
    const result = good ? ("done" as const) : ("failed" as const);
    const at = this.#ports.now();
    return entryOf({
      at,
      kind: "log",
      by: null,
      from: "this host",
      what,
      target: target.slice(0, 500),
      authority: "none",
      result,
    });
  }

  #add(pending: Pending): void {
    if (this.#pending.length + this.#unwritten.length >= UNWRITTEN) {
      this.#lost++;
      pending.refused?.(new FleetError("UNAUDITED", `${UNWRITTEN} records wait for the disk`));
      return;
    }
    this.#pending.push(pending);
    this.#write();
  }

  #write(): void {
    if (this.#writing) return;
    this.#writing = true;
    void this.#writeAll().finally(() => {
      this.#writing = false;
      if (this.#pending.length > 0) this.#write();
    });
  }

  /** All that waits becomes one write and one sync. */
  async #writeAll(): Promise<void> {
    do {
      const taken = this.#pending;
      this.#pending = [];
      for (const { entry } of taken) {
        const made = chained(this.#head, { id: this.#ports.id, host: this.#ports.host() }, entry);
        this.#head = made.head;
        this.#unwritten.push(made.record);
        if (
          this.#memory.length < IN_MEMORY &&
          (this.#memory.at(-1)?.seq ?? this.#sent) === made.record.seq - 1
        )
          this.#memory.push(made.record);
      }
      const last = this.#head.seq;
      const seqs = taken.map((each, at) => ({ each, seq: last - taken.length + 1 + at }));
      try {
        await this.#file.append(this.#unwritten.map((record) => JSON.stringify(record)));
        this.#unwritten = [];
        this.#durable = last;
        this.#diskWorks();
        for (const { each, seq } of seqs) each.taken?.(seq);
      } catch (error) {
        if (!(error instanceof FleetError)) throw error;
        this.#durable = last;
        this.#diskFails(error);
        for (const { each, seq } of seqs) void this.#byStream(each, seq, error);
      }
      this.#bell.ring();
    } while (this.#pending.length > 0);
  }

  /** The stream's word stands for the disk's. */
  async #byStream({ taken, refused }: Pending, seq: number, cause: FleetError): Promise<void> {
    if (taken === undefined || refused === undefined) return;
    const there = await new Promise<boolean>((resolve) => {
      const end = (good: boolean) => {
        clearTimeout(timer);
        this.#acknowledged.delete(look);
        resolve(good);
      };
      const look = () => {
        if (this.#sent >= seq) end(true);
      };
      const timer = setTimeout(() => end(false), STREAM_MS);
      this.#acknowledged.add(look);
      look();
    });
    if (there) taken(seq);
    else
      refused(
        new FleetError(
          "UNAUDITED",
          `neither this host's disk nor the broker takes a record: ${cause.detail}`,
          { cause },
        ),
      );
  }

  #diskFails(error: FleetError): void {
    this.#ports.log.error({ err: error }, "the audit is not on this host's disk");
    if (this.#disk_fails) return;
    this.#disk_fails = true;
    this.#ports.events.tell({
      kind: "refusal",
      severity: "error",
      what: `this host's disk takes no audit record, they go to the broker alone: ${error.detail}`,
    });
  }

  #diskWorks(): void {
    if (!this.#disk_fails) return;
    this.#disk_fails = false;
    const lost = this.#lost === 0 ? "" : `, ${this.#lost} were lost`;
    this.#lost = 0;
    this.#ports.events.tell({
      kind: "refusal",
      severity: "info",
      what: `this host's disk takes audit records again${lost}`,
    });
  }
}
