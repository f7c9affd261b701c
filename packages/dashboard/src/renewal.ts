/** How the log-in behind an open page is renewed: by a ticket that comes into the address or is pasted, one at a time; and how near its end it is. */

import { type ErrorCode, FleetError } from "@muster/protocol/errors";

/** What these mean in general says less than their own words. */
const REFUSED: readonly ErrorCode[] = ["INVALID", "NOT_ALLOWED", "BAD_PROOF"];
/** So long before the end the page says how to go on. */
const SOON_MS = 30 * 60_000;

export class Renewal {
  #asking = false;
  #why: string | null = null;
  readonly #take: (text: string) => Promise<void>;
  readonly #changed: () => void;

  /** `take` goes on by what was typed, or throws why not. */
  constructor(take: (text: string) => Promise<void>, changed: () => void) {
    this.#take = take;
    this.#changed = changed;
  }

  get asking(): boolean {
    return this.#asking;
  }

  /** Why the last ticket was not taken; null = it was, or there was none. */
  get why(): string | null {
    return this.#why;
  }

  /** Whoever looks has read why. */
  forget(): void {
    this.#why = null;
    this.#changed();
  }

  take(text: string): void {
    // A ticket works once: it must not be used up behind another.
    if (this.#asking) return;
    this.#asking = true;
    this.#why = null;
    this.#changed();
    this.#take(text)
      .catch((error: Error) => {
        const refused = error instanceof FleetError && REFUSED.includes(error.code);
        this.#why = refused ? error.detail : error.message;
      })
      .finally(() => {
        this.#asking = false;
        this.#changed();
      });
  }
}

/** Whether whoever looks has to do something about it. */
export const isEnding = (expires_ms: number, now_ms: number): boolean => now_ms >= expires_ms - SOON_MS;
