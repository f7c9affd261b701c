/**
 * The last values of every host in memory: one sample a kind, checked by its schema and by the record: telemetry of a name under another
 * key than the enrolled one is not taken. Loaded from stream TELEMETRY at the start, without a consumer.
 */
import type { Bus } from "@muster/ports/bus";
import {
  type Convergence,
  type HostView,
  TELEMETRY,
  TELEMETRY_KINDS,
  type TelemetryKind,
} from "@muster/protocol";
import { FleetError, parseJson } from "@muster/protocol/errors";
import { SILENT_AFTER_MS } from "@muster/protocol/telemetry/convergence";
import type { HostRecords } from "../records/hosts.ts";

/** Of one sample as it travels. */
const SAMPLE_BYTES = 512 * 1024;

type Sample = { readonly heard_at: number; readonly value: unknown };
type Last = {
  readonly id: string;
  heard_at: number;
  /** When the present convergence first came in this form. */
  changed_at: number | null;
  readonly samples: Partial<Record<TelemetryKind, Sample>>;
};

/** What came of a message. `stranger`: its name and key are not those of a record. */
export type Taken = "taken" | "changed" | "old" | "stranger" | "invalid";

export class LastValues {
  readonly #records: HostRecords;
  readonly #last = new Map<string, Last>();

  constructor(records: HostRecords) {
    this.#records = records;
  }

  /** Takes one message of `telemetry.<id>.<host>.<kind>`. `changed`: the convergence says something else than before. */
  take(subject: string, body: Uint8Array, heard_at: number): { result: Taken; host: string; id: string } {
    const [, id = "", host = "", kind = ""] = subject.split(".");
    const done = (result: Taken) => ({ result, host, id });
    if (!isKind(kind) || body.length > SAMPLE_BYTES) return done("invalid");
    if (this.#records.byName(host)?.id !== id) return done("stranger");
    let value: unknown;
    try {
      value = parseJson(TELEMETRY[kind].sample, body, subject);
    } catch (error) {
      if (error instanceof FleetError) return done("invalid");
      throw error;
    }
    const last = this.#of(host, id);
    const before = last.samples[kind];
    if (before !== undefined && before.heard_at > heard_at) return done("old");
    last.samples[kind] = { heard_at, value };
    last.heard_at = Math.max(last.heard_at, heard_at);
    if (kind !== "convergence" || sameWords(before?.value, value)) return done("taken");
    last.changed_at = heard_at;
    return done("changed");
  }

  /** Reads the last values that the stream kept; newer ones that came meanwhile stay. */
  async load(bus: Pick<Bus, "readAll">): Promise<void> {
    for await (const message of bus.readAll("TELEMETRY", "telemetry.>"))
      this.take(message.subject, message.body, message.stored_at);
  }

  heardAt(host: string): number | null {
    const last = this.#current(host);
    return last === undefined ? null : last.heard_at;
  }

  convergence(host: string): { sample: Convergence | null; changed_at: number | null } {
    const last = this.#current(host);
    return {
      sample: (last?.samples.convergence?.value as Convergence | undefined) ?? null,
      changed_at: last?.changed_at ?? null,
    };
  }

  sample(host: string, kind: TelemetryKind): Sample | undefined {
    return this.#current(host)?.samples[kind];
  }

  isSilent(host: string, now_ms: number): boolean {
    const heard_at = this.heardAt(host);
    return heard_at === null || now_ms - heard_at > SILENT_AFTER_MS;
  }

  /** A host as `ctl` is told of it; null when there is no record. */
  view(host: string, now_ms: number): HostView | null {
    const record = this.#records.byName(host);
    if (record === undefined) return null;
    const value = (kind: TelemetryKind) => this.sample(host, kind)?.value ?? null;
    return {
      record,
      heard_at: this.heardAt(host),
      silent: this.isSilent(host, now_ms),
      clock_skew_ms: this.#skewOf(host),
      convergence: value("convergence") as HostView["convergence"],
      bgp: value("bgp") as HostView["bgp"],
      health: value("health") as HostView["health"],
      checks: value("checks") as HostView["checks"],
    };
  }

  #skewOf(host: string): number | null {
    const sample = this.sample(host, "convergence");
    return sample === undefined ? null : (sample.value as Convergence).at - sample.heard_at;
  }

  /** What a machine that was replaced had said no longer counts. */
  #current(host: string): Last | undefined {
    const last = this.#last.get(host);
    return last !== undefined && this.#records.byName(host)?.id === last.id ? last : undefined;
  }

  #of(host: string, id: string): Last {
    const held = this.#last.get(host);
    if (held?.id === id) return held;
    const fresh: Last = { id, heard_at: 0, changed_at: null, samples: {} };
    this.#last.set(host, fresh);
    return fresh;
  }
}

const isKind = (kind: string): kind is TelemetryKind => (TELEMETRY_KINDS as readonly string[]).includes(kind);

/** Whether two samples of convergence say the same of the desired state, whenever they were sent. */
function sameWords(before: unknown, after: unknown): boolean {
  if (before === undefined) return false;
  const words = (value: unknown) => {
    const { state, since, generation, content_hash, release, detail } = value as Convergence;
    return JSON.stringify([state, since, generation, content_hash, release, detail]);
  };
  return words(before) === words(after);
}
