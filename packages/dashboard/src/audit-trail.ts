/**
 * The audit, for those whose page may read it: asked for while somebody looks, the newest so many records and no more than are kept, and from then on only
 * what is new.
 */
import { AuditRecord } from "@muster/protocol/audit";
import type { PageAnswer, PageRequest } from "./bus.ts";

const KEPT = 2_000;
const A_PAGE = 2_000;
const EVERY_MS = 3_000;
const RETRY_MS = 10_000;
const HOUR_MS = 3_600_000;

/** `writer`: under whose key it was published. `record` null: something that is none. */
export type AuditLine = {
  readonly at: number;
  readonly stored_at: number;
  readonly writer: string;
  readonly late_ms: number;
  readonly record: AuditRecord | null;
};

type Page = { readonly lines: readonly AuditLine[]; readonly next: number | null };
type Ask = (request: PageRequest<"audit">) => Promise<PageAnswer<"audit">>;

export class AuditTrail {
  #lines: readonly AuditLine[] = [];
  #since: number | null = null;
  /** The number of the last record that was read. */
  #after = 0;
  #whole = false;
  /** There are older ones in the span, which are not kept. */
  #full = false;
  #why: string | null = null;
  #next_ms = 0;
  #reading = false;
  readonly #ask: Ask;
  readonly #changed: () => void;

  constructor(ask: Ask, changed: () => void) {
    this.#ask = ask;
    this.#changed = changed;
  }

  /** Oldest first. `whole`: everything since then was read. `full`: but for older ones, which are more than are kept. `why` there is nothing newer; null = there is, or it is being asked for. */
  get trail(): {
    readonly lines: readonly AuditLine[];
    readonly whole: boolean;
    readonly full: boolean;
    readonly why: string | null;
  } {
    return { lines: this.#lines, whole: this.#whole, full: this.#full, why: this.#why };
  }

  /** It is looked at, back to `since_ms`: read where that is due. */
  want(since_ms: number, now_ms: number): void {
    if (this.#since !== since_ms && !this.#reading) {
      this.#since = since_ms;
      this.#lines = [];
      this.#after = 0;
      this.#whole = false;
      this.#full = false;
      this.#next_ms = 0;
    }
    if (this.#reading || now_ms < this.#next_ms) return;
    this.#reading = true;
    this.#read(this.#since ?? since_ms, now_ms)
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

  async #read(since: number, now_ms: number): Promise<void> {
    if (this.#whole) return this.#readFrom({ since, after: this.#after });
    // Also after a failure: what lies between is not known.
    this.#lines = [];
    this.#after = 0;
    // Of what is newest a number in the stream is learned, and with it what comes before is asked for by its numbers.
    for (let back_ms = HOUR_MS; this.#lines.length === 0; back_ms *= 4) {
      await this.#readFrom({ since: Math.max(since, now_ms - back_ms), after: 0 });
      if (now_ms - back_ms <= since) break;
    }
    const [first] = this.#lines;
    if (first === undefined) return;
    const lacking = KEPT - this.#lines.length;
    const before = lacking <= 0 ? [] : await this.#before(first.at, lacking);
    const within = before.filter(({ stored_at }) => stored_at >= since);
    this.#lines = [...within, ...this.#lines].slice(-KEPT);
    this.#full = this.#lines.length >= KEPT;
  }

  /** To the end. */
  async #readFrom(asked: { readonly since: number; readonly after: number }): Promise<void> {
    let after: number | null = asked.after;
    while (after !== null) {
      const page: Page = await this.#page({ since: asked.since, after, limit: A_PAGE });
      this.#full ||= this.#lines.length + page.lines.length > KEPT;
      if (page.lines.length > 0) this.#lines = [...this.#lines, ...page.lines].slice(-KEPT);
      this.#after = page.lines.at(-1)?.at ?? this.#after;
      after = page.next;
      if (after !== null) this.#changed();
    }
  }

  /** The `count` numbers before `end`, as far as there are records. */
  async #before(end: number, count: number): Promise<readonly AuditLine[]> {
    const found: AuditLine[] = [];
    let after: number | null = Math.max(end - 1 - count, 0);
    while (after !== null && after < end - 1) {
      const page: Page = await this.#page({ since: null, after, limit: Math.min(end - 1 - after, A_PAGE) });
      found.push(...page.lines.filter(({ at }) => at < end));
      after = page.next;
    }
    return found;
  }

  async #page(asked: Pick<PageRequest<"audit">, "since" | "after" | "limit">): Promise<Page> {
    const { records, next } = await this.#ask({ ...asked, writer: null });
    const lines = records.map(({ at, stored_at, subject_of, late_ms, record }) => {
      const read = AuditRecord.safeParse(record);
      return { at, stored_at, writer: subject_of, late_ms, record: read.success ? read.data : null };
    });
    return { lines, next };
  }
}
