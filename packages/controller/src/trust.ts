/**
 * The trust bundle as this controller holds it. The first must fit the anchor of the configuration, every later one is signed by an admin
 * under the one held. What it hands to machines and people is the admin's own envelope.
 */
import type { Bus } from "@muster/ports/bus";
import type { Log } from "@muster/ports/log";
import {
  type Envelope,
  loadEnvelope,
  openFirstBundle,
  openNextBundle,
  type StoredEnvelope,
  storeEnvelope,
  subjects,
  type TrustBundle,
  type Verifier,
  verifierOf,
} from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";

type Held = { readonly bundle: TrustBundle; readonly stored: StoredEnvelope; readonly verifier: Verifier };

export class Trust {
  readonly #anchored: { fleet: string; anchor: string; broker_ca_pem: string };
  #held: Held | undefined;

  constructor(anchored: { fleet: string; anchor: string; broker_ca_pem: string }) {
    this.#anchored = anchored;
  }

  get bundle(): TrustBundle {
    return this.#must().bundle;
  }

  get stored(): StoredEnvelope {
    return this.#must().stored;
  }

  get verifier(): Verifier {
    return this.#must().verifier;
  }

  /** Null before the first bundle. */
  get verifierIfAny(): Verifier | null {
    return this.#held?.verifier ?? null;
  }

  /** Takes an envelope as the newest there is; false when it is not newer. Errors: as `openFirstBundle` and `openNextBundle`. */
  take(envelope: Envelope): boolean {
    const { fleet, anchor, broker_ca_pem } = this.#anchored;
    const bundle =
      this.#held === undefined
        ? openFirstBundle(envelope, anchor, broker_ca_pem)
        : openNextBundle(envelope, this.#held.bundle);
    if (bundle === null) return false;
    if (bundle.fleet !== fleet) throw new FleetError("WRONG_TARGET", `a trust bundle of ${bundle.fleet}`);
    this.#held = { bundle, stored: storeEnvelope(envelope), verifier: verifierOf(bundle) };
    return true;
  }

  /** Reads the newest one that is stored. Errors: NOT_FOUND when `ctl init` has not published one yet; as `take`. */
  async load(bus: Pick<Bus, "directGet">): Promise<void> {
    const message = await bus.directGet("TRUST", subjects.trust());
    if (message === null) throw new FleetError("NOT_FOUND", "no trust bundle is published");
    this.take(message);
  }

  /** Takes every newer one as it is published; one that does not hold is an error in the log and changes nothing. */
  follow(bus: Pick<Bus, "subscribe">, log: Log, taken: (bundle: TrustBundle) => void): () => void {
    return bus.subscribe(subjects.liveTrust(), { concurrency: 1 }, (message) => {
      try {
        if (this.take(message)) taken(this.bundle);
      } catch (error) {
        log.error({ err: error }, "a published trust bundle is refused");
      }
    });
  }

  /**
   * Stores an admin's newer bundle for everybody. Two at the same time: the second is a CONFLICT.
   * Errors: CONFLICT when it is not newer than the one stored; as `take`.
   */
  async publish(bus: Pick<Bus, "directGet" | "publishStored">, stored: StoredEnvelope): Promise<number> {
    const newest = await bus.directGet("TRUST", subjects.trust());
    if (newest !== null) this.take(newest);
    const envelope = loadEnvelope(stored);
    const next = openNextBundle(envelope, this.bundle);
    if (next === null)
      throw new FleetError(
        "CONFLICT",
        `version ${this.bundle.version} is held; a newer one must have a higher number`,
      );
    await bus.publishStored(subjects.trust(), envelope.body, {
      headers: envelope.headers,
      expected_last_subject_seq: newest?.seq ?? 0,
    });
    this.take(envelope);
    return next.version;
  }

  #must(): Held {
    if (this.#held === undefined)
      throw new FleetError("BAD_CERTIFICATE", "there is no trust bundle here yet");
    return this.#held;
  }
}
