/** The trust bundle of this host: on disk from enrolment on, replaced only by a newer one that an admin signed under the one held. */
import type { Log } from "@muster/ports/log";
import type { Envelope, TrustBundle, Verifier } from "@muster/protocol";
import { loadEnvelope, StoredEnvelope, storeEnvelope } from "@muster/protocol/envelope";
import { FleetError, parseJson } from "@muster/protocol/errors";
import {
  openFirstBundle,
  openNextBundle,
  TrustBundle as TrustBundleSchema,
  verifierOf,
} from "@muster/protocol/trust";
import { z } from "zod";
import { readKept, writeKept } from "./store.ts";

const Kept = z.object({ envelope: StoredEnvelope });

export class Trust {
  readonly #file: string;
  readonly #log: Log;
  #bundle: TrustBundle | null = null;
  #verifier: Verifier | null = null;
  readonly #listeners = new Set<() => void>();
  readonly #judges = new Set<(outcome: TrustBundle | FleetError) => void>();
  #queue: Promise<unknown> = Promise.resolve();

  private constructor(file: string, log: Log) {
    this.#file = file;
    this.#log = log;
  }

  /** Reads the bundle held. It was proved when it was taken. A damaged one is an error: only a new enrolment brings it back. */
  static async open(file: string, log: Log): Promise<Trust> {
    const trust = new Trust(file, log);
    try {
      const kept = await readKept(file, Kept);
      if (kept !== null)
        trust.#hold(parseJson(TrustBundleSchema, loadEnvelope(kept.value.envelope).body, file));
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      log.error({ err: error }, "the trust bundle cannot be read: the host asks for it anew");
    }
    return trust;
  }

  get bundle(): TrustBundle | null {
    return this.#bundle;
  }

  get verifier(): Verifier | null {
    return this.#verifier;
  }

  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** Hears of every bundle that was taken, and of every newer one that was refused. */
  onJudged(listener: (outcome: TrustBundle | FleetError) => void): void {
    this.#judges.add(listener);
  }

  /** Takes a first bundle that fits the anchor and the CA that TLS showed. Errors: WRONG_ANCHOR and as `openFirstBundle`. */
  first(envelope: Envelope, anchor: string, tls_ca: string): Promise<TrustBundle> {
    return this.#turn(async () => {
      const bundle = openFirstBundle(envelope, anchor, tls_ca);
      const held = this.#bundle;
      if (held !== null && held.fleet === bundle.fleet && held.version >= bundle.version) return held;
      await writeKept(this.#file, { envelope: storeEnvelope(envelope) });
      this.#hold(bundle);
      return bundle;
    });
  }

  /** Takes a newer bundle; false when it is not newer. Errors: as `openNextBundle`; NOT_FOUND while none is held. */
  next(envelope: Envelope): Promise<boolean> {
    return this.#turn(async () => {
      if (this.#bundle === null) throw new FleetError("NOT_FOUND", "no trust bundle is held yet");
      const bundle = this.#judged(envelope, this.#bundle);
      if (bundle === null) return false;
      await writeKept(this.#file, { envelope: storeEnvelope(envelope) });
      this.#hold(bundle);
      this.#log.info({ version: bundle.version }, "a newer trust bundle is held");
      return true;
    });
  }

  /** One at a time, each judged under the bundle that is held when its turn comes: a stored and a live message can cross. */
  #turn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(work);
    this.#queue = turn.catch(() => undefined);
    return turn;
  }

  #judged(envelope: Envelope, held: TrustBundle): TrustBundle | null {
    try {
      return openNextBundle(envelope, held);
    } catch (error) {
      if (error instanceof FleetError) for (const listener of this.#judges) listener(error);
      throw error;
    }
  }

  #hold(bundle: TrustBundle): void {
    this.#bundle = bundle;
    this.#verifier = verifierOf(bundle);
    for (const listener of this.#listeners) listener();
    for (const listener of this.#judges) listener(bundle);
  }
}
