/**
 * Log lines that wait for Loki, bounded. Where there are too many the oldest go of those hosts that have the most waiting, down to a share that is the same for all: one that is loud costs
 * the others no line. Pure.
 */
import type { SentLine } from "@muster/protocol/log";

/** `host` null: the controller's own word. */
export type Queued = { readonly host: string | null; readonly line: SentLine };

export const QUEUE_BYTES = 8 * 1024 * 1024;
const AROUND_BYTES = 100;

const cost = ({ line }: Queued) => Buffer.byteLength(line.text) + AROUND_BYTES;

export class LineQueue {
  readonly #limit_bytes: number;
  #lines: Queued[] = [];
  readonly #bytes_of = new Map<string | null, number>();
  #bytes = 0;

  constructor(limit_bytes = QUEUE_BYTES) {
    this.#limit_bytes = limit_bytes;
  }

  get length(): number {
    return this.#lines.length;
  }
  get bytes(): number {
    return this.#bytes;
  }

  /** Gives how many were dropped for it. */
  put(queued: Queued): number {
    this.#lines.push(queued);
    this.#count(queued, 1);
    if (this.#bytes <= this.#limit_bytes) return 0;
    // Many at once: going through a long list for every line is dear.
    return this.#shrink(this.#limit_bytes * (7 / 8));
  }

  /** Takes out what came first, of about so many bytes and at least one line. */
  take(most_bytes: number): Queued[] {
    let [end, bytes] = [0, 0];
    while (end < this.#lines.length && bytes < most_bytes) bytes += cost(this.#lines[end++] as Queued);
    const taken = this.#lines.splice(0, end);
    for (const each of taken) this.#count(each, -1);
    return taken;
  }

  /** Puts back in front what `take` gave. */
  putBack(taken: readonly Queued[]): void {
    this.#lines = [...taken, ...this.#lines];
    for (const each of taken) this.#count(each, 1);
  }

  #shrink(to_bytes: number): number {
    const share_bytes = shareOf([...this.#bytes_of.values()], to_bytes);
    const before = this.#lines.length;
    this.#lines = this.#lines.filter((each) => {
      if ((this.#bytes_of.get(each.host) ?? 0) <= share_bytes) return true;
      this.#count(each, -1);
      return false;
    });
    return before - this.#lines.length;
  }

  #count(queued: Queued, sign: 1 | -1): void {
    const bytes = sign * cost(queued);
    this.#bytes += bytes;
    const left = (this.#bytes_of.get(queued.host) ?? 0) + bytes;
    if (left === 0) this.#bytes_of.delete(queued.host);
    else this.#bytes_of.set(queued.host, left);
  }
}

/** The most that each may have so that all together have so much: who has less keeps it, and leaves the rest to the others. */
function shareOf(all_bytes: readonly number[], to_bytes: number): number {
  const sorted = [...all_bytes].sort((one, other) => one - other);
  let left = to_bytes;
  for (const [at, bytes] of sorted.entries()) {
    const share = left / (sorted.length - at);
    if (bytes > share) return share;
    left -= bytes;
  }
  return Number.POSITIVE_INFINITY;
}
