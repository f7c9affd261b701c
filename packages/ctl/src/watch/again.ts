/** A question that is asked again when something was told that may change its answer: one at a time, however much is told. */

export class Again {
  readonly #ask: () => Promise<void>;
  readonly #rest_ms: number;
  readonly #failed: (error: unknown) => void;
  #asking = false;
  #missed = false;
  #due: NodeJS.Timeout | null = null;
  #over = false;

  /** `failed` hears what `ask` throws. */
  constructor(ask: () => Promise<void>, rest_ms: number, failed: (error: unknown) => void) {
    this.#ask = ask;
    this.#rest_ms = rest_ms;
    this.#failed = failed;
  }

  /** Asks at once; while an answer is waited for, once more after it: that one may be of before. */
  now(): void {
    if (this.#over) return;
    this.#forget();
    if (this.#asking) {
      this.#missed = true;
      return;
    }
    this.#asking = true;
    void this.#ask()
      .catch(this.#failed)
      .finally(() => {
        this.#asking = false;
        if (!this.#missed) return;
        this.#missed = false;
        this.now();
      });
  }

  /** Asks after the rest, once for everybody who wanted it until then: whoever answers has to hear of it first, too. */
  soon(): void {
    if (this.#over) return;
    this.#due ??= setTimeout(() => this.now(), this.#rest_ms);
  }

  end(): void {
    this.#over = true;
    this.#forget();
  }

  #forget(): void {
    if (this.#due !== null) clearTimeout(this.#due);
    this.#due = null;
  }
}
