/**
 * The audit, for those whose page may read it: asked for while somebody looks, page after page, and from then on only what is new. The newest so many records
 * are kept.
 */
import { AuditRecord } from "@muster/protocol/audit";
import type { PageAnswer, PageRequest } from "./bus.ts";

const KEPT = 2_000;
const A_PAGE = 2_000;
const EVERY_MS = 3_000;
const RETRY_MS = 10_000;

/** `writer`: under whose key it was published. `record` null: something that is none. */
export type AuditLine = {
  readonly at: number;
  readonly stored_at: number;
  readonly writer: string;
  readonly late_ms: number;
  readonly record: AuditRecord | null;
};

type Ask = (request: PageRequest<"audit">) => Promise<PageAnswer<"audit">>;

export class AuditTrail {
  #lines: readonly AuditLine[] = [];
  #since: number | null = null;
  /** The number of the last record that was read. */
  #after = 0;
  #whole = false;
  #why: string | null = null;
  #next_ms = 0;
  #reading = false;
  readonly #ask: Ask;
  readonly #changed: () => void;

  constructor(ask: Ask, changed: () => void) {
    this.#ask = ask;
    this.#changed = changed;
  }

  /** Oldest first. `whole`: everything since then was read. `why` there is nothing newer; null = there is, or it is being asked for. */
  get trail(): {
    readonly lines: readonly AuditLine[];
    readonly whole: boolean;
    readonly why: string | null;
  } {
    return { lines: this.#lines, whole: this.#whole, why: this.#why };
  }

  /** It is looked at, back to `since_ms`: read where that is due. */
  want(since_ms: number, now_ms: number): void {
    if (this.#since !== since_ms && !this.#reading) {
      this.#since = since_ms;
      this.#lines = [];
      this.#after = 0;
      this.#whole = false;
      this.#next_ms = 0;
    }
    if (this.#reading || now_ms < this.#next_ms) return;
    this.#reading = true;
    this.#read(this.#since ?? since_ms)
      .then(() => {
        this.#why = null;
        this.#whole = true;
        this.#next_ms = now_ms + EVERY_MS;
      })
      .catch((error: Error) => {
        this.#why = error.message;
        this.#next_ms = now_ms + RETRY_MS;
      })
      .finally(() => {
        this.#reading = false;
        this.#changed();
      });
  }

  async #read(since: number): Promise<void> {
    for (let more = true; more; ) {
      const asked = { since, writer: null, after: this.#after, limit: A_PAGE };
      const { records, next } = await this.#ask(asked);
      const lines = records.map(({ at, stored_at, subject_of, late_ms, record }) => {
        const read = AuditRecord.safeParse(record);
        return { at, stored_at, writer: subject_of, late_ms, record: read.success ? read.data : null };
      });
      if (lines.length > 0) this.#lines = [...this.#lines, ...lines].slice(-KEPT);
      this.#after = lines.at(-1)?.at ?? this.#after;
      more = next !== null;
      if (more) this.#changed();
    }
  }
}
