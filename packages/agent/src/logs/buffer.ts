/** Lines that wait to be sent, bounded: where there are too many the oldest go, and are counted. Pure. */
import { LOG_BATCH_BYTES, LOG_BATCH_LINES, type SentLine } from "@muster/protocol/log";

/** Of all that waits; a line costs its text and what is around it. */
export const BUFFER_BYTES = 512 * 1024;
const AROUND_BYTES = 120;

const cost = ({ text }: SentLine) => Buffer.byteLength(text) + AROUND_BYTES;

export class LineBuffer {
  readonly #limit_bytes: number;
  #lines: SentLine[] = [];
  /** Where it begins: taking from the front of a long list one by one is dear. */
  #head = 0;
  #bytes = 0;
  #dropped = 0;

  constructor(limit_bytes = BUFFER_BYTES) {
    this.#limit_bytes = limit_bytes;
  }

  get empty(): boolean {
    return this.#head === this.#lines.length && this.#dropped === 0;
  }

  /** Gives how many were dropped for it. */
  push(line: SentLine): number {
    this.#lines.push(line);
    this.#bytes += cost(line);
    let gone = 0;
    while (this.#bytes > this.#limit_bytes && this.#head < this.#lines.length - 1) gone += this.#shift();
    this.#dropped += gone;
    return gone;
  }

  /** What the next message holds; it stays until `sent`. */
  next(): { readonly lines: readonly SentLine[]; readonly dropped: number } {
    let bytes = 0;
    let end = this.#head;
    for (; end < this.#lines.length && end - this.#head < LOG_BATCH_LINES; end += 1) {
      bytes += cost(this.#lines[end] as SentLine);
      if (bytes > LOG_BATCH_BYTES && end > this.#head) break;
    }
    return { lines: this.#lines.slice(this.#head, end), dropped: this.#dropped };
  }

  /** What `next` gave is on its way; nothing was pushed in between. */
  sent({ lines, dropped }: { readonly lines: readonly SentLine[]; readonly dropped: number }): void {
    for (let left = lines.length; left > 0; left -= 1) this.#shift();
    this.#dropped -= dropped;
  }

  #shift(): number {
    this.#bytes -= cost(this.#lines[this.#head] as SentLine);
    this.#head += 1;
    if (this.#head * 2 > this.#lines.length) {
      this.#lines = this.#lines.slice(this.#head);
      this.#head = 0;
    }
    return 1;
  }
}
