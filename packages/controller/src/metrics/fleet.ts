/** All metrics of the fleet from the last values that a controller holds, and of the controller itself. */
import { isBlind, type Sample, TELEMETRY_KINDS, type TelemetryKind } from "@muster/protocol";
import { breathing } from "../breath.ts";
import type { LogCounts } from "../monitoring/outlets.ts";
import type { DeclaredHosts } from "../records/declared.ts";
import type { HostRecords } from "../records/hosts.ts";
import type { LastValues } from "../telemetry/last.ts";
import { COLLECTED_METRICS } from "./collected.ts";
import type { Family } from "./exposition.ts";
import { HOST_METRICS } from "./host.ts";
import { MACHINE_METRICS } from "./machine.ts";
import type { Heard, HostMetric } from "./metric.ts";

/** All that is told of a host, in the order in which it is told. */
export const METRICS_OF_A_HOST: readonly HostMetric[] = [
  ...HOST_METRICS,
  ...MACHINE_METRICS,
  ...COLLECTED_METRICS,
];

export type FleetSource = {
  readonly records: Pick<HostRecords, "names" | "byName">;
  /** Absent where nothing is known of the folder. */
  readonly declared?: Pick<DeclaredHosts, "names" | "isMissing">;
  readonly last: Pick<LastValues, "view" | "sample">;
  readonly leading: boolean;
  /** Null while this controller pushes none. */
  readonly logs?: LogCounts | null;
};

/** As of this instant, in milliseconds since 1970 UTC; made one after the other, while other work goes in between. */
export async function* fleetMetrics(source: FleetSource, now_ms: number): AsyncGenerator<Family> {
  const { records, last } = source;
  const breathe = breathing();
  const hosts: Heard[] = [];
  for (const name of records.names()) {
    const host = heard(name, last, now_ms);
    if (host !== null) hosts.push(host);
    await breathe();
  }
  yield* ownMetrics(source, hosts.length);
  for (const { of, labels, ...metric } of METRICS_OF_A_HOST) {
    const values: { words: string[]; value: number }[] = [];
    for (const host of hosts) {
      for (const [words, value] of of(host))
        if (value !== null) values.push({ words: [host.record.name, ...words], value });
      await breathe();
    }
    yield { ...metric, labels: ["host", ...labels], values };
  }
}

/** Of the controller itself, and how many hosts there are: what stands before the metrics of the hosts. */
export function ownMetrics(
  { leading, declared, logs }: Pick<FleetSource, "leading" | "declared" | "logs">,
  hosts: number,
): Family[] {
  return [
    one("muster_controller_leading", "1 = this controller leads: it runs the rollouts.", Number(leading)),
    one("muster_hosts", "Hosts that are enrolled.", hosts),
    {
      ...{ name: "muster_host_missing", type: "gauge", labels: ["host"] },
      help: "Of every host that the folder declares: 1 = no machine ever joined as it.",
      values: [...(declared?.names ?? [])].map((name) => ({
        ...{ words: [name], value: Number(declared?.isMissing(name)) },
      })),
    },
    ...logMetrics(logs ?? null),
  ];
}

/** Of the controller that pushes them. */
function logMetrics(logs: LogCounts | null): Family[] {
  if (logs === null) return [];
  const total = { type: "counter", labels: ["by"] } as const;
  const plain = (name: string, help: string, value: number): Family => ({
    ...{ name, help, type: "counter", labels: [] },
    values: [{ words: [], value }],
  });
  return [
    plain("muster_log_lines_pushed_total", "Log lines that Loki took.", logs.pushed),
    plain(
      "muster_log_messages_unreadable_total",
      "Messages of log lines that could not be read.",
      logs.unreadable,
    ),
    {
      ...{
        name: "muster_log_lines_dropped_total",
        help: "Log lines that were dropped, and by whom; by loki: of pushes that it refused, at most.",
        ...total,
      },
      values: [
        { words: ["host"], value: logs.dropped_by_host },
        { words: ["controller"], value: logs.dropped },
        { words: ["loki"], value: logs.refused },
      ],
    },
  ];
}

const one = (name: string, help: string, value: number): Family => ({
  ...{ name, help, type: "gauge", labels: [] },
  values: [{ words: [], value }],
});

/** Null for a host that does not belong to the fleet any more. */
export function heard(name: string, last: FleetSource["last"], now_ms: number): Heard | null {
  const view = last.view(name, now_ms);
  if (view === null || view.record.state !== "enrolled") return null;
  const fresh = <K extends TelemetryKind>(kind: K): Sample<K> | null => {
    const sample = last.sample(name, kind);
    if (view.silent || sample === undefined) return null;
    return isBlind({ kind, heard_at: sample.heard_at }, now_ms) ? null : (sample.value as Sample<K>);
  };
  const checked = (view.convergence?.resources.managed.check ?? 0) > 0;
  return {
    record: view.record,
    silent: view.silent,
    heard_at: view.heard_at,
    kinds: TELEMETRY_KINDS.flatMap((kind) => {
      const sample = last.sample(name, kind);
      if (sample === undefined || (sample.value as { present?: boolean }).present === false) return [];
      // A host that has no checks any more is not blind for that.
      if (kind === "checks" && !checked) return [];
      const { heard_at } = sample;
      return [{ kind, heard_at, blind: isBlind({ kind, heard_at }, now_ms) }];
    }),
    clock_skew_ms: view.silent ? null : (view.clock_skew_ms ?? null),
    convergence: fresh("convergence"),
    bgp: fresh("bgp"),
    health: fresh("health"),
    checks: fresh("checks"),
    containers: fresh("containers"),
    services: fresh("services"),
    certificates: fresh("certificates"),
    packages: fresh("packages"),
    wireguard: fresh("wireguard"),
  };
}
