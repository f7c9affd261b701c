/**
 * The last values of every host in memory: one sample a kind, checked by its schema and by the record: telemetry of a name under another
 * key than the enrolled one is not taken. Loaded from stream TELEMETRY at the start, without a consumer.
 *
 * A broker may be behind with writing down: what hosts told before we listened can come into the stream after we have read it, and then with a time that is
 * later than that of what we heard since. So the stream is read on until it brings nothing new, and never replaces what was heard on this connection; what is
 * heard, in turn, is always news: its order is the wire's, while the broker's clock and ours may be apart, and ours may be set.
 */
import type { Bus } from "@muster/ports/bus";
import {
  type Convergence,
  FAULTY_KINDS,
  type FaultyKind,
  type Sample as FaultySample,
  type HostView,
  isBlind,
  TELEMETRY,
  TELEMETRY_KINDS,
  type TelemetryKind,
} from "@muster/protocol";
import { FleetError, parseJson } from "@muster/protocol/errors";
import type { HistoryKind, Point } from "@muster/protocol/history";
import { SILENT_AFTER_MS } from "@muster/protocol/telemetry/convergence";
import type { KindFaults } from "@muster/protocol/telemetry/fault";
import { SAMPLE_TAKEN_BYTES } from "@muster/protocol/telemetry/index";
import type { HostRecords } from "../records/hosts.ts";
import { pause } from "../retry.ts";
import { RecentPoints } from "./recent.ts";

/** Of a reason, as far as it is shown. */
const WHY = 200;

/** How often the stream is read on, how often in vain before it is enough, and for how long at most. */
const READ_ON = { every_ms: 1_000, in_vain: 3, turns: 120 };

type Heard = { readonly heard_at: number; readonly value: unknown };
/** `listened`: on which connection it was heard; null = it is from the stream. */
type Sample = Heard & { readonly listened: number | null };
/** Why what came last could not be read, and when it came. */
type Unreadable = { readonly heard_at: number; readonly why: string };
type Last = {
  readonly id: string;
  heard_at: number;
  /** When the present convergence first came in this form. */
  changed_at: number | null;
  readonly samples: Partial<Record<TelemetryKind, Sample>>;
  readonly unreadable: Partial<Record<TelemetryKind, Unreadable>>;
  readonly recent: RecentPoints;
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

  /** Our clock was set by so much, and reads `now_ms` now: nobody is silent, or heard, for what it did. */
  clockSet(by_ms: number, now_ms: number): void {
    const moved = (heard_at: number) => Math.min(heard_at + by_ms, now_ms);
    for (const last of this.#last.values()) {
      last.heard_at = moved(last.heard_at);
      for (const [kind, sample] of Object.entries(last.samples))
        last.samples[kind as TelemetryKind] = { ...sample, heard_at: moved(sample.heard_at) };
      for (const [kind, told] of Object.entries(last.unreadable))
        last.unreadable[kind as TelemetryKind] = { ...told, heard_at: moved(told.heard_at) };
    }
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
    if (!isKind(kind)) return done("invalid");
    if (this.#records.byName(host)?.id !== id) return done("stranger");
    const last = this.#of(host, id);
    let value: unknown;
    try {
      if (body.length > SAMPLE_TAKEN_BYTES)
        throw new FleetError("INVALID", `${body.length} bytes, ${SAMPLE_TAKEN_BYTES} are taken`);
      value = parseJson(TELEMETRY[kind].sample, body, kind);
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      if (listened !== null) last.unreadable[kind] = { heard_at, why: error.detail.slice(0, WHY) };
      return done("invalid");
    }
    if (listened !== null) delete last.unreadable[kind];
    const before = last.samples[kind];
    if (listened === null && before !== undefined)
      if (before.listened === this.#listens || before.heard_at > heard_at) return done("old");
    last.samples[kind] = { heard_at, value, listened };
    if (listened !== null) last.recent.take(kind, value, heard_at);
    last.heard_at = listened === null ? Math.max(last.heard_at, heard_at) : heard_at;
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
    return last === undefined || last.heard_at === 0 ? null : last.heard_at;
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

  /** Its numbers of the last minutes, which it has not yet told for keeping. */
  recent(host: string, track: HistoryKind): readonly Point[] {
    return this.#current(host)?.recent.of(track) ?? [];
  }

  isSilent(host: string, now_ms: number): boolean {
    const heard_at = this.heardAt(host);
    return heard_at === null || now_ms - heard_at > SILENT_AFTER_MS;
  }

  /** A host as `ctl` is told of it; null when there is no record. */
  view(host: string, now_ms: number): HostView | null {
    const record = this.#records.byName(host);
    if (record === undefined) return null;
    const last = this.#current(host);
    const value = (kind: TelemetryKind) => last?.samples[kind]?.value ?? null;
    return {
      record,
      heard_at: this.heardAt(host),
      silent: this.isSilent(host, now_ms),
      clock_skew_ms: last === undefined ? null : skewOf(last),
      convergence: value("convergence") as HostView["convergence"],
      bgp: value("bgp") as HostView["bgp"],
      health: value("health") as HostView["health"],
      checks: value("checks") as HostView["checks"],
      faults: last === undefined ? [] : faultsOf(last, now_ms),
    };
  }

  /** What a machine that was replaced had said no longer counts. */
  #current(host: string): Last | undefined {
    const last = this.#last.get(host);
    return last !== undefined && this.#records.byName(host)?.id === last.id ? last : undefined;
  }

  #of(host: string, id: string): Last {
    const held = this.#last.get(host);
    if (held?.id === id) return held;
    const fresh: Last = {
      ...{ id, heard_at: 0, changed_at: null, samples: {}, unreadable: {} },
      recent: new RecentPoints(),
    };
    this.#last.set(host, fresh);
    return fresh;
  }
}

/**
 * Of the kinds that the host has something of; and of those that it tells in a way that cannot be read, whatever it told before, as long as it does: after a downgrade
 * it may tell nothing of that kind any more.
 */
function faultsOf(last: Last, now_ms: number): NonNullable<HostView["faults"]> {
  const unreadable = Object.entries(last.unreadable).filter(
    ([kind, { heard_at }]) => !isBlind({ kind, heard_at }, now_ms),
  );
  const known = FAULTY_KINDS.flatMap((kind) => {
    const { heard_at = 0, value } = last.samples[kind] ?? {};
    const { present, faults } = (value ?? {}) as Partial<FaultySample<FaultyKind>>;
    return present !== true || unreadable.some(([each]) => each === kind)
      ? []
      : [{ kind, heard_at, faults: faults ?? [] }];
  });
  return [...known, ...unreadable.map(([kind, of]) => unreadableFault(kind, of))];
}

function skewOf({ samples }: Last): number | null {
  const sample = samples.convergence;
  return sample === undefined ? null : (sample.value as Convergence).at - sample.heard_at;
}

const unreadableFault = (kind: string, { heard_at, why }: Unreadable): KindFaults => ({
  ...{ kind, heard_at },
  faults: [
    {
      ...{ colour: "red", about: null, ref: null, since: null },
      what: `what it tells of ${kind} cannot be read here, is its agent newer than the controllers? ${why}`,
    },
  ],
});

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
