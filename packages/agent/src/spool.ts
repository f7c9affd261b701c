/**
 * Lines that wait on disk until somebody has them: segments in a directory, appended to, handed out whole and oldest first, each deleted when it was
 * delivered. Bounded in bytes and age: what is oldest goes first. A crash costs what the system had not yet written (nobody waits for the disk) and the
 * rest of a line; what was delivered and not yet deleted is delivered once more.
 */
import { appendFile, mkdir, readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { FleetError } from "@muster/protocol/errors";
import { isMissing } from "./store.ts";

export type SpoolLimits = {
  /** Of all segments. */
  readonly bytes: number;
  readonly age_ms: number;
  /** Of one segment: a line that does not fit any more begins the next. */
  readonly segment_bytes: number;
};

/** `name` is the same whenever it is handed out; `from` is when its first line came, by our clock. */
export type Segment = { readonly name: string; readonly from: number; readonly bytes: number };

const NAME = /^(\d{1,16})-(\d{1,9})\.jsonl$/;

export class Spool {
  readonly #directory: string;
  readonly #limits: SpoolLimits;
  readonly #closed: Segment[];
  #open: Segment | null = null;
  #serial: number;
  #lost = 0;

  private constructor(directory: string, limits: SpoolLimits, closed: Segment[], serial: number) {
    this.#directory = directory;
    this.#limits = limits;
    this.#closed = closed;
    this.#serial = serial;
  }

  /** Nothing of a run before is known. */
  static empty(directory: string, limits: SpoolLimits): Spool {
    return new Spool(directory, limits, [], 1);
  }

  /** What a run before left is handed out first. Errors: FAILED when the directory cannot be read. */
  static async open(directory: string, limits: SpoolLimits): Promise<Spool> {
    const found: (Segment & { serial: number })[] = [];
    for (const name of await namesIn(directory)) {
      const parts = NAME.exec(name);
      if (parts === null) continue;
      const { size } = await stat(join(directory, name)).catch(failed(directory));
      found.push({ name, from: Number(parts[1]), bytes: size, serial: Number(parts[2]) });
    }
    // By number and not by time: a clock may have been set back.
    found.sort((one, other) => one.serial - other.serial);
    const closed = found.map(({ serial: _, ...segment }) => segment);
    return new Spool(directory, limits, closed, (found.at(-1)?.serial ?? 0) + 1);
  }

  /** Segments that went because of the limits since the last time this was asked. */
  takeLost(): number {
    const lost = this.#lost;
    this.#lost = 0;
    return lost;
  }

  /** When the segment that is being written to began; null while there is none. */
  get open_since(): number | null {
    return this.#open?.from ?? null;
  }

  /** Segments that may be handed out, oldest first. */
  get waiting(): readonly Segment[] {
    return this.#closed;
  }

  /** Errors: FAILED with the system's words, such as a disk that is full; the line is lost then. */
  async append(line: string, now_ms: number): Promise<void> {
    const body = `${line}\n`;
    const bytes = Buffer.byteLength(body);
    if (this.#open !== null && this.#open.bytes + bytes > this.#limits.segment_bytes) this.close();
    const open = this.#open ?? { name: `${now_ms}-${this.#serial}.jsonl`, from: now_ms, bytes: 0 };
    await this.#makeRoom(bytes, now_ms);
    try {
      await mkdir(this.#directory, { recursive: true, mode: 0o700 });
      await appendFile(join(this.#directory, open.name), body, { mode: 0o600 });
    } catch (error) {
      // Half a line at its end: what comes next must not be written behind it.
      if (this.#open !== null) this.close();
      else await rm(join(this.#directory, open.name), { force: true }).catch(() => undefined);
      this.#serial += 1;
      return failed(this.#directory)(error);
    }
    if (this.#open === null) this.#serial += 1;
    this.#open = { ...open, bytes: open.bytes + bytes };
  }

  /** What was written so far may be handed out; the next line begins a new segment. */
  close(): void {
    if (this.#open !== null) this.#closed.push(this.#open);
    this.#open = null;
  }

  /** Its whole lines; none where somebody took the file away. Errors: FAILED. */
  async read({ name }: Segment): Promise<string[]> {
    const text = await readFile(join(this.#directory, name), "utf8").catch((error: unknown) => {
      if (isMissing(error)) return "";
      return failed(this.#directory)(error);
    });
    return text.split("\n").slice(0, -1).filter(Boolean);
  }

  /** It has arrived, or will never be of use. Errors: FAILED. */
  async drop(segment: Segment): Promise<void> {
    const at = this.#closed.findIndex(({ name }) => name === segment.name);
    if (at >= 0) this.#closed.splice(at, 1);
    await rm(join(this.#directory, segment.name), { force: true }).catch(failed(this.#directory));
  }

  async #makeRoom(bytes: number, now_ms: number): Promise<void> {
    let total = bytes + (this.#open?.bytes ?? 0) + this.#closed.reduce((sum, each) => sum + each.bytes, 0);
    for (;;) {
      const [oldest] = this.#closed;
      if (oldest === undefined) return;
      if (total <= this.#limits.bytes && now_ms - oldest.from <= this.#limits.age_ms) return;
      total -= oldest.bytes;
      this.#lost += 1;
      await this.drop(oldest);
    }
  }
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (isMissing(error)) return [];
    return failed(directory)(error);
  }
}

const failed =
  (directory: string) =>
  (cause: unknown): never => {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new FleetError("FAILED", `${directory}: ${why}`, { cause });
  };
