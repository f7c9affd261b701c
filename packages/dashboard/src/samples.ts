/**
 * Whole samples of the kinds of which the model keeps what is wrong only: of the hosts that are looked at, and of a kind that is looked at over the whole fleet.
 * Asked of controllers once, and from then on as hosts tell them.
 */

import type { FaultyKind, Sample } from "@muster/protocol/telemetry/index";
import { HOSTS_LIMIT } from "@muster/view/model";

/** So many hosts' kinds are held. */
const SCOPES = 60;
const RETRY_MS = 10_000;

/** `heard_at`: by the controllers' clock. */
export type Kept<K extends FaultyKind> = { readonly heard_at: number; readonly sample: Sample<K> };
/** One host's, or with null every host's. */
export type AskSamples = <K extends FaultyKind>(
  kind: K,
  host: string | null,
) => Promise<ReadonlyMap<string, Kept<K>>>;

type Scope = { readonly next_ms: number; readonly why: string | null; readonly whole: boolean };

export class Samples {
  /** By kind and host. */
  readonly #held = new Map<FaultyKind, Map<string, Kept<FaultyKind>>>();
  /** What is followed; those that were looked at last are last. */
  readonly #scopes = new Map<string, Scope>();
  readonly #ask: AskSamples;
  readonly #changed: () => void;

  constructor(ask: AskSamples, changed: () => void) {
    this.#ask = ask;
    this.#changed = changed;
  }

  of<K extends FaultyKind>(kind: K, host: string): Kept<K> | undefined {
    return this.#held.get(kind)?.get(host) as Kept<K> | undefined;
  }

  all<K extends FaultyKind>(kind: K): ReadonlyMap<string, Kept<K>> {
    return (this.#held.get(kind) ?? new Map()) as ReadonlyMap<string, Kept<K>>;
  }

  /** Whether the controllers have told what there was, and if not why, where that is known. */
  lack(kind: FaultyKind, host: string | null): { readonly whole: boolean; readonly why: string | null } {
    return this.#scopes.get(scopeOf(kind, host)) ?? { whole: false, why: null };
  }

  /** This is looked at: it is asked for once, and again where that failed. */
  want(kind: FaultyKind, host: string | null, now_ms: number): void {
    const scope = scopeOf(kind, host);
    const held = this.#scopes.get(scope);
    if (held !== undefined && now_ms < held.next_ms) {
      // It is looked at: others go before it.
      this.#scopes.delete(scope);
      this.#scopes.set(scope, held);
      return;
    }
    const keep = (kept: Scope) => {
      this.#scopes.delete(scope);
      this.#scopes.set(scope, kept);
      if (this.#scopes.size > SCOPES) this.#drop();
    };
    keep({ next_ms: Number.POSITIVE_INFINITY, why: null, whole: held?.whole ?? false });
    this.#ask(kind, host)
      .then((found) => {
        for (const [name, kept] of found) this.#put(kind, name, kept);
        keep({ next_ms: Number.POSITIVE_INFINITY, why: null, whole: true });
      })
      .catch((error: Error) => keep({ next_ms: now_ms + RETRY_MS, why: error.message, whole: false }))
      .finally(this.#changed);
  }

  /** What a host tells. */
  take<K extends FaultyKind>(kind: K, host: string, sample: Sample<K>, now_ms: number): void {
    if (this.#scopes.has(scopeOf(kind, host)) || this.#scopes.has(scopeOf(kind, null)))
      this.#put(kind, host, { heard_at: now_ms, sample });
  }

  /** There was no connection: what is looked at is asked for anew. */
  forget(): void {
    for (const [scope, held] of this.#scopes) this.#scopes.set(scope, { ...held, next_ms: 0 });
  }

  #put(kind: FaultyKind, host: string, kept: Kept<FaultyKind>): void {
    const of = this.#held.get(kind) ?? new Map<string, Kept<FaultyKind>>();
    this.#held.set(kind, of);
    const before = of.get(host);
    if (before === undefined && of.size >= HOSTS_LIMIT) return;
    if (before === undefined || before.heard_at <= kept.heard_at) of.set(host, kept);
  }

  #drop(): void {
    const [oldest = ""] = this.#scopes.keys();
    this.#scopes.delete(oldest);
    const [kind, host] = oldest.split(" ") as [FaultyKind, string];
    if (host === "*") {
      const of = this.#held.get(kind);
      for (const name of of?.keys() ?? []) if (!this.#scopes.has(scopeOf(kind, name))) of?.delete(name);
    } else if (!this.#scopes.has(scopeOf(kind, null))) this.#held.get(kind)?.delete(host);
  }
}

const scopeOf = (kind: FaultyKind, host: string | null) => `${kind} ${host ?? "*"}`;
