/** The form of a host's metrics: a name, what it is, and how it follows from what was last heard. */
import type {
  BgpSample,
  ChecksSample,
  Convergence,
  FaultyKind,
  Health,
  HostRecord,
  Sample,
  TelemetryKind,
} from "@muster/protocol";

/** A host as the table reads it: samples only where they are fresh. */
export type Heard = {
  readonly record: HostRecord;
  readonly silent: boolean;
  readonly heard_at: number | null;
  /** Those that it has something of. */
  readonly kinds: readonly {
    readonly kind: TelemetryKind;
    readonly heard_at: number;
    readonly blind: boolean;
  }[];
  readonly clock_skew_ms: number | null;
  readonly convergence: Convergence | null;
  readonly bgp: BgpSample | null;
  readonly health: Health | null;
  readonly checks: ChecksSample | null;
} & { readonly [K in FaultyKind]: Sample<K> | null };

export type Values = Iterable<readonly [labels: readonly string[], value: number | null]>;
export type HostMetric = {
  readonly name: `muster_${string}`;
  readonly help: string;
  readonly type: "gauge" | "counter";
  /** Besides `host`. */
  readonly labels: readonly string[];
  of(host: Heard): Values;
};

type Reader = (host: Heard) => number | null | undefined;
const metric =
  (type: HostMetric["type"]) =>
  (name: HostMetric["name"], help: string, of: Reader): HostMetric => ({
    ...{ name, help, type, labels: [] },
    of: (host) => [[[], of(host) ?? null]],
  });
export const gauge = metric("gauge");
export const counter = metric("counter");

export const each = (
  name: HostMetric["name"],
  help: string,
  labels: readonly string[],
  of: (host: Heard) => Values,
  type: HostMetric["type"] = "gauge",
): HostMetric => ({ name, help, type, labels, of });
