/**
 * What the page asks controllers while somebody looks at it, and no longer: by question the last answer, and why there is no newer one. So many questions at
 * most; those that were looked at last are kept.
 */
import { useEffect } from "preact/hooks";
import type { PageAnswer, PageMethod, PageRequest } from "./bus.ts";

const KEPT = 50;
const RETRY_MS = 10_000;

export type Answer<M extends PageMethod> = {
  /** Null: there is none yet. */
  readonly value: PageAnswer<M> | null;
  /** Why the newest is not there; null = it is, or it is being asked for. */
  readonly why: string | null;
};

type Ask = <M extends PageMethod>(method: M, request: PageRequest<M>) => Promise<PageAnswer<M>>;
type Held = {
  readonly method: PageMethod;
  /** When it was asked last; 0 = what it says is not new any more. */
  readonly asked_ms: number;
  readonly asking: boolean;
  readonly answer: { readonly value: unknown; readonly why: string | null };
};

const NONE = { value: null, why: null };

export class Questions {
  /** Those that were asked last are last. */
  readonly #held = new Map<string, Held>();
  readonly #ask: Ask;
  readonly #changed: () => void;

  constructor(ask: Ask, changed: () => void) {
    this.#ask = ask;
    this.#changed = changed;
  }

  answer<M extends PageMethod>(method: M, request: PageRequest<M>): Answer<M> {
    return (this.#held.get(keyOf(method, request))?.answer ?? NONE) as Answer<M>;
  }

  /** This is looked at: it is asked where that is due. */
  want<M extends PageMethod>(method: M, request: PageRequest<M>, every_ms: number, now_ms: number): void {
    const key = keyOf(method, request);
    const held = this.#held.get(key);
    const due_ms = held === undefined ? 0 : held.answer.why === null ? every_ms : RETRY_MS;
    if (held !== undefined && (held.asking || now_ms < held.asked_ms + due_ms)) return;
    const keep = (asked_ms: number, asking: boolean, answer: Held["answer"]) => {
      this.#held.delete(key);
      this.#held.set(key, { method, asked_ms, asking, answer });
      const [oldest] = this.#held.keys();
      if (this.#held.size > KEPT && oldest !== undefined) this.#held.delete(oldest);
    };
    const before = held?.answer ?? NONE;
    keep(now_ms, true, before);
    // What became stale while it was asked is asked again.
    const ended = (answer: Held["answer"]) => keep(this.#held.get(key)?.asked_ms ?? now_ms, false, answer);
    this.#ask(method, request)
      .then((value) => ended({ value, why: null }))
      .catch((error: Error) => ended({ value: before.value, why: error.message }))
      .finally(this.#changed);
  }

  /** Something has happened that these methods tell of: whoever looks asks anew. Without a name: all of them. */
  stale(...methods: readonly PageMethod[]): void {
    for (const [key, held] of this.#held)
      if (methods.length === 0 || methods.includes(held.method))
        this.#held.set(key, { ...held, asked_ms: 0 });
  }
}

const keyOf = (method: PageMethod, request: unknown) => `${method} ${JSON.stringify(request)}`;

/** The answer as it stands, asked for while this is in the page. */
export function useAnswer<M extends PageMethod>(
  { questions, now_ms }: { readonly questions: Questions; readonly now_ms: number },
  method: M,
  request: PageRequest<M>,
  every_ms: number,
): Answer<M> {
  useEffect(() => questions.want(method, request, every_ms, now_ms));
  return questions.answer(method, request);
}
