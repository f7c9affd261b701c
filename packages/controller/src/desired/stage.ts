/** `ctl.stage`: takes one signed manifest of a rollout that is not ordered yet, after checking it as the host will. */
import type { Bus } from "@muster/ports/bus";
import {
  blobsOf,
  loadEnvelope,
  type Manifest,
  manifestsReader,
  openManifest,
  type StoredEnvelope,
  storeEnvelope,
  subjects,
  type Verifier,
} from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import type { BlobStore } from "../blobs/store.ts";
import type { HostRecords } from "../records/hosts.ts";

/** What was found in a staged manifest, so that `apply` need not open it again. */
export type Staged = {
  readonly host: string;
  readonly generation: number;
  readonly content_hash: string;
  readonly return_to: string | null;
  readonly groups: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
};

type Opened = { readonly staged: Staged; readonly manifest: Manifest };

/** Of manifests that were staged here and not yet ordered. */
const KNOWN = 20_000;

export type StagePorts = {
  readonly bus: Pick<Bus, "directGet" | "publishStored" | "kv">;
  readonly fleet: string;
  readonly records: HostRecords;
  readonly blobs: Pick<BlobStore, "give">;
  verifier(): Verifier;
};

export class Staging {
  readonly #ports: StagePorts;
  readonly #known = new Map<string, Staged>();
  /** Of the newest rollout: its manifests come one after the other, and many say the same. */
  #reading: { readonly rollout: string; readonly read: ReturnType<typeof manifestsReader> } | null = null;

  constructor(ports: StagePorts) {
    this.#ports = ports;
  }

  /**
   * Stores a manifest as it was signed, and for its host the blobs that it names.
   * Errors: as `openManifest`; as `BlobStore.give`; WRONG_TARGET (another host's, or another rollout's), NOT_FOUND (no such host), CONFLICT (ordered already).
   */
  async stage(rollout: string, id: string, stored: StoredEnvelope): Promise<void> {
    const { bus, records } = this.#ports;
    const envelope = loadEnvelope(stored);
    const { staged, manifest } = this.#open(rollout, id, envelope);
    const [record, ordered] = await Promise.all([
      records.byName(staged.host) ?? records.fetch(staged.host).then((kept) => kept?.record),
      bus.kv("rollouts").get(rollout),
    ]);
    if (record === undefined || record.state !== "enrolled")
      throw new FleetError("NOT_FOUND", `${staged.host} is not enrolled`);
    if (record.id !== id) throw new FleetError("WRONG_TARGET", `${staged.host} is enrolled with another key`);
    if (ordered !== null) throw new FleetError("CONFLICT", `rollout ${rollout} is ordered already`);
    await this.#ports.blobs.give(id, blobsOf(manifest.content.resources));
    await bus.publishStored(subjects.staged(rollout, id), envelope.body, {
      headers: storeEnvelope(envelope).headers,
    });
    this.#remember(rollout, id, staged);
  }

  /** What is staged for a host, or null. Errors: as `openManifest`. */
  async staged(rollout: string, id: string): Promise<Staged | null> {
    const known = this.#known.get(`${rollout}.${id}`);
    if (known !== undefined) return known;
    const message = await this.#ports.bus.directGet("RELEASE", subjects.staged(rollout, id));
    return message === null ? null : this.#open(rollout, id, message).staged;
  }

  /** The rollout is ordered: what is known of its manifests is not needed any more. */
  forget(rollout: string): void {
    if (this.#reading?.rollout === rollout) this.#reading = null;
    for (const key of this.#known.keys()) if (key.startsWith(`${rollout}.`)) this.#known.delete(key);
  }

  #open(rollout: string, id: string, envelope: Parameters<typeof openManifest>[0]): Opened {
    if (this.#reading?.rollout !== rollout) this.#reading = { rollout, read: manifestsReader() };
    const target = { fleet: this.#ports.fleet, id };
    const { manifest } = openManifest(envelope, target, this.#ports.verifier(), this.#reading.read);
    if (manifest.release.id !== rollout)
      throw new FleetError(
        "WRONG_TARGET",
        `the manifest of ${manifest.host} is for rollout ${manifest.release.id}`,
      );
    const { host, generation, content_hash } = manifest;
    const { return_to } = manifest.release;
    const { groups, labels } = manifest.content;
    return { manifest, staged: { host, generation, content_hash, return_to, groups, labels } };
  }

  #remember(rollout: string, id: string, staged: Staged): void {
    const [oldest] = this.#known.keys();
    if (this.#known.size >= KNOWN && oldest !== undefined) this.#known.delete(oldest);
    this.#known.set(`${rollout}.${id}`, staged);
  }
}
