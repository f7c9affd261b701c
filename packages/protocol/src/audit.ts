/**
 * The audit: who asked for what, on whose authority, and what came of it. Every writer (an agent, a controller) numbers its records from 1 and
 * puts the hash of the one before into each, so that a record that is changed, left out or moved shows in those that follow, and one left out at the end
 * in the head that the writer itself says. Pure; who keeps records and where: `ports/src/audit.ts`, `agent/src/audit/`, `controller/src/audit/`.
 */
import { verify } from "node:crypto";
import { z } from "zod";
import { contentHash } from "./canonical.ts";
import type { Principal } from "./certificate.ts";
import { ERROR_CODES } from "./errors.ts";
import { HostId, HostName, Instant, PersonName, Sha256 } from "./names.ts";
import { decodePublic, publicKeyObject } from "./nkey.ts";

export const AUDIT_KINDS = ["command", "manifest", "trust", "enrolment", "act", "log"] as const;
export type AuditKind = (typeof AUDIT_KINDS)[number];

/** What comes before the first record. */
export const CHAIN_START = "0".repeat(64);

const By = z
  .object({
    name: PersonName,
    rank: z.enum(["viewer", "operator", "admin", "ci", "controller"]).describe("By the certificate."),
    key: Sha256.describe("SHA-256 of the certificate."),
    kit: z.boolean().describe("It was the recovery kit."),
  })
  .nullable()
  .describe("Who, by a certificate that was checked; null = nobody that could be told.");

/** What happened, without its place in the chain. */
export const AuditEntry = z.object({
  at: Instant,
  kind: z.enum(AUDIT_KINDS).describe("What it is about."),
  by: By,
  from: z.string().max(200).describe("Where it came from: the bus id that is answered, or an address."),
  what: z.string().max(64).describe("The method, or what was done."),
  target: z.string().max(500).describe("The subject or thing that it was for. Never a secret."),
  args: Sha256.nullable().describe("Hash of the arguments, which may hold secrets; null = there were none."),
  authority: z
    .string()
    .max(100)
    .describe("On whose authority: the rank that was needed, or what was signed."),
  result: z
    .enum(["begun", "done", "failed", "refused"])
    .describe("`begun` is written before the act; its end is a record of its own."),
  code: z.enum(ERROR_CODES).nullable().describe("Why it failed or was refused."),
  of: z.int().min(1).nullable().describe("The record of the same writer that says it begun."),
  more: z.int().min(0).describe("So many like it came within the minute and stand in this one record."),
});
export type AuditEntry = z.infer<typeof AuditEntry>;

export const AuditRecord = AuditEntry.extend({
  v: z.literal(1),
  writer: HostId,
  host: z.union([HostName, PersonName]).nullable().describe("The writer's name, when it had one."),
  seq: z.int().min(1).describe("The writer's own count, without gaps."),
  prev: Sha256.describe("Hash of the writer's record before: SHA-256 over its RFC 8785 form."),
}).describe("One record of the audit.");
export type AuditRecord = z.infer<typeof AuditRecord>;

/** The newest record of a writer: `seq` 0 and `CHAIN_START` when there is none. */
export type AuditHead = { readonly seq: number; readonly hash: string };
export const NO_HEAD: AuditHead = { seq: 0, hash: CHAIN_START };

export const hashOfRecord = (record: AuditRecord): string => contentHash(record);

/** The record that comes after `head`, and the head that it makes. */
export function chained(
  head: AuditHead,
  writer: { readonly id: string; readonly host: string | null },
  entry: AuditEntry,
): { record: AuditRecord; head: AuditHead } {
  const place = { v: 1 as const, writer: writer.id, host: writer.host, seq: head.seq + 1, prev: head.hash };
  const record: AuditRecord = { ...entry, ...place };
  return { record, head: { seq: record.seq, hash: hashOfRecord(record) } };
}

export const auditBy = (principal: Principal | null): AuditEntry["by"] =>
  principal === null
    ? null
    : { name: principal.name, rank: principal.rank, key: principal.fingerprint, kit: principal.kit };

/** What is wrong with a chain, and where. */
export type AuditFault = {
  readonly writer: string;
  readonly host: string | null;
  /** The first number that is concerned. */
  readonly seq: number;
  /** Of the nearest record that is there, milliseconds since 1970; null = none is. */
  readonly at: number | null;
  readonly fault: "missing" | "altered" | "reordered" | "forked" | "foreign" | "head";
  readonly what: string;
};

/** Follows one writer's records in the order in which they were stored. What came twice in the same form is one record. */
export class ChainCheck {
  readonly writer: string;
  readonly #hashes = new Map<number, string>();
  #head: AuditHead | null = null;
  #host: string | null = null;
  #at: number | null = null;
  #first: number | null = null;
  #count = 0;

  constructor(writer: string) {
    this.writer = writer;
  }

  get host(): string | null {
    return this.#host;
  }

  /** The newest that was taken; null while there is none. */
  get head(): AuditHead | null {
    return this.#head;
  }

  /** The number of the oldest that was taken, and how many were. */
  get first(): number | null {
    return this.#first;
  }

  get count(): number {
    return this.#count;
  }

  /** The hash of a record that was taken lately; undefined when it was not, or long ago. */
  hashAt(seq: number): string | undefined {
    return this.#hashes.get(seq);
  }

  /** Takes the next record as it is stored; null where it fits. */
  take(record: AuditRecord): AuditFault | null {
    const fault = (name: AuditFault["fault"], what: string, seq = record.seq): AuditFault => ({
      writer: this.writer,
      host: this.#host ?? record.host,
      seq,
      at: record.at,
      fault: name,
      what,
    });
    if (record.writer !== this.writer)
      return fault("foreign", `record ${record.seq} says that ${record.writer} wrote it`);
    const hash = hashOfRecord(record);
    const head = this.#head;
    if (head === null) {
      this.#hold(record, hash);
      return record.seq === 1 && record.prev !== CHAIN_START
        ? fault("altered", "record 1 names one before it")
        : null;
    }
    if (record.seq <= head.seq) {
      const known = this.#hashes.get(record.seq);
      if (known === hash) return null;
      if (known !== undefined) {
        this.#hold(record, hash);
        return fault(
          "forked",
          `there are two different records ${record.seq}: one was changed, or the chain began anew`,
        );
      }
      return fault("reordered", `record ${record.seq} comes after record ${head.seq}`);
    }
    const gap = record.seq - head.seq - 1;
    const before = head.hash;
    this.#hold(record, hash);
    if (gap > 0) {
      const which =
        gap === 1 ? `record ${head.seq + 1} is` : `records ${head.seq + 1} to ${record.seq - 1} are`;
      return fault("missing", `${which} missing`, head.seq + 1);
    }
    return record.prev === before
      ? null
      : fault(
          "altered",
          `record ${head.seq} is not the one that record ${record.seq} follows: one of them was changed`,
          head.seq,
        );
  }

  /** Holds the last record against the head that the writer says. `waiting` so many are said to be still on their way. */
  end(said: AuditHead, waiting: number): AuditFault | null {
    const { seq, hash } = this.#head ?? NO_HEAD;
    const fault = (what: string, at_seq: number): AuditFault => ({
      writer: this.writer,
      host: this.#host,
      seq: at_seq,
      at: this.#at,
      fault: "head",
      what,
    });
    if (seq < said.seq - waiting)
      return fault(`the newest ${said.seq - waiting - seq} are missing: it has written ${said.seq}`, seq + 1);
    const known = this.#hashes.get(said.seq);
    if (known !== undefined && known !== said.hash)
      return fault(`record ${said.seq} is not the one that it wrote`, said.seq);
    if (seq > said.seq && known === undefined)
      return fault(`it has written ${said.seq}, and there are ${seq}`, said.seq + 1);
    return seq === said.seq && hash !== said.hash
      ? fault(`record ${said.seq} is not the one that it wrote`, said.seq)
      : null;
  }

  #hold(record: AuditRecord, hash: string): void {
    this.#hashes.set(record.seq, hash);
    if (this.#hashes.size > REMEMBERED) {
      const [oldest] = this.#hashes.keys();
      if (oldest !== undefined) this.#hashes.delete(oldest);
    }
    this.#first ??= record.seq;
    this.#count++;
    this.#host = record.host ?? this.#host;
    this.#at = record.at;
    this.#head = { seq: record.seq, hash };
  }
}

/** So far back a record that comes twice is told from one that comes late. */
const REMEMBERED = 10_000;

/** What a host signs with its own key when it is asked for its head; the nonce is the asker's. */
export const headText = (id: string, head: AuditHead, nonce: string): Uint8Array =>
  Buffer.from(`muster audit head 1\n${id}\n${head.seq}\n${head.hash}\n${nonce}`);

/** Whether the host with that id signed it; `signature` is base64. */
export function headIsSigned(id: string, head: AuditHead, nonce: string, signature: string): boolean {
  const key = publicKeyObject(decodePublic("user", id));
  return verify(null, headText(id, head, nonce), key, Buffer.from(signature, "base64"));
}
