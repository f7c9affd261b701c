/**
 * The host's own copy of its audit: records as lines of an append-only file, 0600, in the agent's state. At 4 MiB it becomes `.1`, and what was `.1`
 * goes, so that it is bounded. Lines are synced (fdatasync) before anybody is told that they are kept. Who reads it at the start finds the chain's head, and
 * cuts off a line that a crash left half written. Nothing is held open: a disk that is in use for writing cannot be made read-only.
 */
import { constants } from "node:fs";
import { mkdir, readFile, rename, stat } from "node:fs/promises";
import { dirname } from "node:path";
import type { AuditHead } from "@muster/protocol";
import { AuditRecord, hashOfRecord, NO_HEAD } from "@muster/protocol/audit";
import { FleetError } from "@muster/protocol/errors";
import { OpenFile } from "../ports/open-file.ts";
import { isMissing, syncDirectory } from "../store.ts";

export const FILE_LIMIT_BYTES = 4 * 1024 * 1024;

const { O_APPEND, O_CREAT, O_RDWR, O_NOFOLLOW } = constants;

/** What was found at the start. `damage`: what was wrong, in words; null when all was well. */
export type Found = { readonly head: AuditHead; readonly damage: string | null };

export class AuditFile {
  readonly path: string;
  readonly #limit_bytes: number;
  #made = false;
  #size = 0;

  constructor(path: string, limit_bytes: number = FILE_LIMIT_BYTES) {
    this.path = path;
    this.#limit_bytes = limit_bytes;
  }

  /** Reads the end of the chain, and makes the file end with a whole line. Errors: FAILED with the system's words. */
  async open(): Promise<Found> {
    return this.#told(async () => {
      const text = await textOf(this.path);
      const cut = text.lastIndexOf("\n") + 1;
      const half = Buffer.byteLength(text.slice(cut));
      await this.#with(async (file) => {
        if (half === 0) return;
        this.#size = Buffer.byteLength(text.slice(0, cut));
        await file.truncate(this.#size);
        await file.sync();
      });
      const lines = [
        ...(await textOf(`${this.path}.1`)).split("\n"),
        ...text.slice(0, cut).split("\n"),
      ].filter(Boolean);
      let unread = 0;
      for (let at = lines.length - 1; at >= 0; at--) {
        const record = recordOf(lines[at] ?? "");
        if (record === null) {
          unread++;
          continue;
        }
        const damage = [
          half > 0 ? `a line half written after record ${record.seq} was cut off (${half} bytes)` : "",
          unread > 0 ? `${unread} lines after record ${record.seq} cannot be read` : "",
        ].filter(Boolean);
        const words = damage.join("; ");
        return { head: { seq: record.seq, hash: hashOfRecord(record) }, damage: words === "" ? null : words };
      }
      const damaged = half > 0 || unread > 0;
      return { head: NO_HEAD, damage: damaged ? "no line of the audit can be read: it begins anew" : null };
    });
  }

  /** Appends lines and resolves when they are on disk. What could not be written whole is taken back. Errors: FAILED. */
  async append(lines: readonly string[]): Promise<void> {
    await this.#told(async () => {
      if (this.#size > this.#limit_bytes) await this.#turn();
      const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(""));
      await this.#with(async (file) => {
        try {
          await file.write(bytes);
          await file.syncContent();
        } catch (error) {
          // Half a line would spoil the next one.
          await file.truncate(this.#size).catch(() => undefined);
          throw error;
        }
      });
      this.#size += bytes.length;
    });
  }

  /** The records after `seq`, oldest first, at most `limit`. Errors: FAILED. */
  async after(seq: number, limit: number): Promise<AuditRecord[]> {
    return this.#told(async () => {
      const found: AuditRecord[] = [];
      for (const path of [`${this.path}.1`, this.path]) {
        for (const line of (await textOf(path)).split("\n")) {
          const record = line === "" ? null : recordOf(line);
          if (record !== null && record.seq > seq) found.push(record);
          if (found.length >= limit) return found;
        }
      }
      return found;
    });
  }

  async #with(work: (file: OpenFile) => Promise<void>): Promise<void> {
    if (!this.#made) await mkdir(dirname(this.path), { recursive: true, mode: 0o700 });
    const file = await OpenFile.open(this.path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW, 0o600);
    try {
      this.#size = Number(file.facts().size);
      if (!this.#made) {
        await file.chmod(0o600);
        await syncDirectory(dirname(this.path));
        this.#made = true;
      }
      await work(file);
    } finally {
      file.close();
    }
  }

  async #turn(): Promise<void> {
    await rename(this.path, `${this.path}.1`);
    this.#made = false;
    this.#size = 0;
  }

  async #told<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      if (cause instanceof FleetError) throw cause;
      throw new FleetError(
        "FAILED",
        `${this.path}: ${cause instanceof Error ? cause.message : String(cause)}`,
        { cause },
      );
    }
  }
}

async function textOf(path: string): Promise<string> {
  try {
    // It cannot be larger but by somebody else's hand.
    if ((await stat(path)).size > 8 * FILE_LIMIT_BYTES)
      throw new FleetError("TOO_LARGE", `${path} is not the agent's work`);
    return await readFile(path, "utf8");
  } catch (error) {
    if (isMissing(error)) return "";
    throw error;
  }
}

function recordOf(line: string): AuditRecord | null {
  try {
    const result = AuditRecord.safeParse(JSON.parse(line));
    return result.success ? result.data : null;
  } catch {
    return null;
  }
}
