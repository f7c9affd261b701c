/**
 * The last values of every host in memory: one sample a kind, checked by its schema and by the record: telemetry of a name under another
 * key than the enrolled one is not taken. Loaded from stream TELEMETRY at the start, without a consumer.
 *
 * A broker may be behind with writing down: what hosts told before we listened can come into the stream after we have read it, and then with a time that is
 * later than that of what we heard since. So the stream is read on until it brings nothing new, and never replaces what was heard on this connection.
 */
import type { Bus } from "@muster/ports/bus";
import {
  type Convergence,
  FAULTY_KINDS,
  type FaultyKind,
  type Sample as FaultySample,
  type HostView,
  TELEMETRY,
  TELEMETRY_KINDS,
  type TelemetryKind,
} from "@muster/protocol";
import { FleetError, parseJson } from "@muster/protocol/errors";
import { SILENT_AFTER_MS } from "@muster/protocol/telemetry/convergence";
import type { HostRecords } from "../records/hosts.ts";
import { pause } from "../retry.ts";

/** Of one sample as it travels. */
const SAMPLE_BYTES = 512 * 1024;

/** How often the stream is read on, how often in vain before it is enough, and for how long at most. */
const READ_ON = { every_ms: 1_000, in_vain: 3, turns: 120 };

type Heard = { readonly heard_at: number; readonly value: unknown };
/** `listened`: on which connection it was heard; null = it is from the stream. */
type Sample = Heard & { readonly listened: number | null };
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
  /** Counts our connections. */
  #listens = 1;
  /** Up to here the stream was read. */
  #read_to = 0;

  constructor(records: HostRecords) {
    this.#records = records;
  }

  /** The connection is gone: what was heard on it may be older than what the stream has next time. */
  cut(): void {
    this.#listens += 1;
  }

  /** Takes one message of `telemetry.<id>.<host>.<kind>` that was heard. `changed`: the convergence says something else than before. */
  take(subject: string, body: Uint8Array, heard_at: number): { result: Taken; host: string; id: string } {
    return this.#take(subject, body, heard_at, this.#listens);
  }

  #take(
    subject: string,
    body: Uint8Array,
    heard_at: number,
    listened: number | null,
  ): { result: Taken; host: string; id: string } {
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
    const newer =
      before === undefined ||
      (listened === null && before.listened === this.#listens ? false : before.heard_at <= heard_at);
    if (!newer) return done("old");
    last.samples[kind] = { heard_at, value, listened };
    last.heard_at = Math.max(last.heard_at, heard_at);
    if (kind !== "convergence" || sameWords(before?.value, value)) return done("taken");
    last.changed_at = heard_at;
    return done("changed");
  }

  /** Reads the last values that the stream kept; what was heard meanwhile stays. */
  async load(bus: Pick<Bus, "readAll">): Promise<void> {
    this.#read_to = 0;
    await this.#read(bus);
  }

  /** Reads on, after `load`, what the broker had still to write down. Ends by itself, with the connection, or when the signal aborts. */
  async readOn(bus: Pick<Bus, "readAll">, signal: AbortSignal, every_ms = READ_ON.every_ms): Promise<void> {
    const listens = this.#listens;
    for (let [turn, vain] = [0, 0]; turn < READ_ON.turns && vain < READ_ON.in_vain; turn++) {
      await pause(every_ms, signal);
      if (signal.aborted || this.#listens !== listens) return;
      const taken = await this.#read(bus).catch((error: unknown) => {
        // A broker that is behind may be slow to answer, too.
        if (error instanceof FleetError) return null;
        throw error;
      });
      vain = taken === 0 ? vain + 1 : 0;
    }
  }

  /** How many were taken. */
  async #read(bus: Pick<Bus, "readAll">): Promise<number> {
    let taken = 0;
    for await (const message of bus.readAll("TELEMETRY", "telemetry.>", { from_seq: this.#read_to + 1 })) {
      this.#read_to = message.seq;
      const { result } = this.#take(message.subject, message.body, message.stored_at, null);
      if (result === "taken" || result === "changed") taken += 1;
    }
    return taken;
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

  sample(host: string, kind: TelemetryKind): Heard | undefined {
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
      faults: this.#faultsOf(host),
    };
  }

  /** Of the kinds that the host has something of. */
  #faultsOf(host: string): NonNullable<HostView["faults"]> {
    return FAULTY_KINDS.flatMap((kind) => {
      const sample = this.sample(host, kind);
      const { present, faults } = (sample?.value ?? {}) as Partial<FaultySample<FaultyKind>>;
      return sample === undefined || present !== true
        ? []
        : [{ kind, heard_at: sample.heard_at, faults: faults ?? [] }];
    });
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
