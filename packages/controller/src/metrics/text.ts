/**
 * What `/metrics` answers, of parts that are kept: the lines of one metric of one host are made anew only when something that this metric reads of a host is not what
 * it was for this one. What a metric reads is noted while it is read, so that no table can be wrong about it: samples, the record, and what follows from the
 * clock (silent, blind, how old) alike. What is kept is the text once, some 25 kB of a host that has
 * everything: as much as there are hosts, and nothing when nobody asks.
 */
import { breathing } from "../breath.ts";
import { expose, Lines, titleOf } from "./exposition.ts";
import { type FleetSource, heard, METRICS_OF_A_HOST, ownMetrics } from "./fleet.ts";
import type { Heard, HostMetric } from "./metric.ts";

/** Longer than Prometheus ever waits between two scrapes: it takes what is older for gone. */
const FORGET_MS = 5 * 60_000;

/** By what the parts of the host are known again, and its lines of each metric. */
type Kept = { readonly marks: Map<string, unknown>; readonly lines: string[] };

export class FleetText {
  readonly #metrics: readonly (HostMetric & { readonly title: string; readonly text: Lines })[];
  readonly #forget_ms: number;
  /** Which metrics were ever seen to read this part of a host. */
  readonly #readers = new Map<string, Set<number>>();
  /** The metric that reads now. */
  #reading = 0;
  readonly #noting: ProxyHandler<Heard> = {
    get: (host, part: keyof Heard) => {
      const readers = this.#readers.get(part);
      if (readers === undefined) this.#readers.set(part, new Set([this.#reading]));
      else readers.add(this.#reading);
      return host[part];
    },
  };
  #kept: ReadonlyMap<string, Kept> = new Map();
  #forgetting: NodeJS.Timeout | undefined;

  constructor(metrics: readonly HostMetric[] = METRICS_OF_A_HOST, forget_ms = FORGET_MS) {
    this.#metrics = metrics.map((metric) => ({
      ...metric,
      title: titleOf(metric),
      text: new Lines(metric.name, ["host", ...metric.labels]),
    }));
    this.#forget_ms = forget_ms;
  }

  /**
   * The text of `expose(fleetMetrics(…))` in pieces, as of this instant in milliseconds since 1970 UTC; of a host that says something meanwhile, what it says.
   * One at a time.
   */
  async of(source: FleetSource, now_ms: number): Promise<Buffer[]> {
    const breathe = breathing();
    const kept = new Map<string, Kept>();
    for (const name of source.records.names()) {
      const host = heard(name, source.last, now_ms);
      if (host !== null) kept.set(name, this.#renew(this.#kept.get(name), host));
      await breathe();
    }
    this.#kept = kept;
    this.#forgetLater();
    const pieces = [Buffer.from(expose(ownMetrics(source, kept.size)))];
    for (const [at, { title }] of this.#metrics.entries()) {
      const lines: string[] = [];
      for (const host of kept.values()) lines.push(host.lines[at] ?? "");
      const all = lines.join("");
      if (all !== "") pieces.push(Buffer.from(title + all));
      await breathe();
    }
    return pieces;
  }

  #renew(before: Kept | undefined, host: Heard): Kept {
    const kept: Kept = before ?? { marks: new Map(), lines: [] };
    const due = new Set(before === undefined ? this.#metrics.keys() : []);
    for (const [part, value] of Object.entries(host)) {
      if (before !== undefined && isOf(kept.marks.get(part), value)) continue;
      kept.marks.set(part, markOf(value));
      for (const at of this.#readers.get(part) ?? []) due.add(at);
    }
    const read = new Proxy(host, this.#noting);
    for (const at of due) kept.lines[at] = this.#lines(at, read);
    return kept;
  }

  #lines(at: number, host: Heard): string {
    const metric = this.#metrics[at];
    if (metric === undefined) throw new TypeError(`there is no metric ${at}`);
    this.#reading = at;
    return metric.text.of([host.record.name], metric.of(host));
  }

  #forgetLater(): void {
    clearTimeout(this.#forgetting);
    this.#forgetting = setTimeout(() => (this.#kept = new Map()), this.#forget_ms).unref();
  }
}

/** Weak: a sample that was told long ago is not kept for being known again. */
const markOf = (value: unknown) => (value instanceof Object ? new WeakRef(value) : value);
const isOf = (mark: unknown, value: unknown) =>
  mark instanceof WeakRef ? mark.deref() === value : mark === value;
