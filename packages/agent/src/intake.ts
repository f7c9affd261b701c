/**
 * The door for manifests: opens what the bus brings, judges it, keeps it. The loop never sees a message; it reads the ledger. A manifest that
 * is refused is told once, and the last good one stays.
 */
import type { Envelope, OpenedManifest, Verifier } from "@muster/protocol";
import { sha256 } from "@muster/protocol/canonical";
import { CHALLENGED_WINDOW_MS, storeEnvelope } from "@muster/protocol/envelope";
import { FleetError } from "@muster/protocol/errors";
import { type ManifestContent, manifestReader, openManifest } from "@muster/protocol/manifest";
import { takes } from "./decide.ts";
import type { Ledger } from "./ledger.ts";

export type Refusal = { readonly error: FleetError; readonly at: number };

export type IntakeDoor = {
  readonly ledger: Ledger;
  verifier(): Verifier | null;
  target(): { fleet: string; id: string } | null;
  /** The content of that hash, when its plan was shown just now; else null. */
  shown(content_hash: string): ManifestContent | null;
  readonly now: () => number;
  /** The on-node policy's word on a manifest that would be taken. Errors: NOT_ALLOWED. */
  judge(opened: OpenedManifest): Promise<void>;
  /** Rings the loop. */
  accepted(opened: OpenedManifest): void;
  refused(error: FleetError): void;
};

export class Intake {
  readonly #door: IntakeDoor;
  readonly #read: ReturnType<typeof manifestReader>;
  /** Of the last envelope that was refused: it is told once, however often it comes. */
  #refused_hash: string | null = null;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(door: IntakeDoor) {
    this.#door = door;
    this.#read = manifestReader((content_hash) => door.shown(content_hash));
  }

  /** Takes what came from the stream, where it was stored at that time, one at a time. Resolves when it is kept or refused. */
  offer(envelope: Envelope, handed_out_ms: number): Promise<void> {
    const turn = this.#queue.then(() => this.#take(envelope, handed_out_ms));
    this.#queue = turn.catch(() => undefined);
    return turn;
  }

  /** What a signer writes as the time is only his word: a thief dates back to before the revocation, a wrong clock blocks the years to come. */
  #judgeTime({ principal, signed_at_ms }: OpenedManifest, verifier: Verifier): void {
    const now_ms = this.#door.now();
    if (verifier.voided(principal, now_ms)) throw new FleetError("VOIDED", principal.name);
    if (signed_at_ms > now_ms + CHALLENGED_WINDOW_MS)
      throw new FleetError(
        "CLOCK_SKEW",
        `signed at ${new Date(signed_at_ms).toISOString()}, which is still to come`,
      );
  }

  async #take(envelope: Envelope, handed_out_ms: number): Promise<void> {
    const { ledger } = this.#door;
    const verifier = this.#door.verifier();
    const target = this.#door.target();
    if (verifier === null || target === null) return;
    try {
      const opened = openManifest(envelope, target, verifier, this.#read);
      this.#judgeTime(opened, verifier);
      const { accepted, refused, resources } = ledger.state;
      const held = { accepted, refused, managed: Object.keys(resources) };
      if (!takes({ ...opened, handed_out_ms }, held)) return;
      await this.#door.judge(opened);
      const { manifest, signed_at_ms, by, kit } = opened;
      const { generation, content_hash } = manifest;
      await ledger.accept(manifest, storeEnvelope(envelope), {
        generation,
        content_hash,
        signed_at: signed_at_ms,
        by,
        kit,
        admitted: false,
      });
      this.#refused_hash = null;
      this.#door.accepted(opened);
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      const hash = sha256(
        Buffer.concat([Buffer.from(JSON.stringify(storeEnvelope(envelope).headers)), envelope.body]),
      );
      if (hash === this.#refused_hash) return;
      this.#refused_hash = hash;
      this.#door.refused(error);
    }
  }
}
