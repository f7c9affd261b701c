/** Charts of a host's numbers over time. */
import { numberText } from "@muster/view/words";
import { useMemo } from "preact/hooks";
import { Chart } from "../chart.tsx";
import type { History, TrackName } from "../history.ts";

type Of = {
  readonly history: History;
  readonly now_ms: number;
  readonly host: string;
  readonly title: string;
};

/** `lines`: what each is called → the name of the series. All of them are told at the same instants. */
export function HistoryChart({
  history,
  host,
  title,
  kind,
  lines,
  ...rest
}: Of & {
  readonly kind: TrackName;
  readonly lines: Readonly<Record<string, string>>;
  readonly text: (value: number) => string;
  readonly max?: number;
}) {
  const drawn = useMemo(
    () => Object.entries(lines).map(([label, name]) => ({ label, ...history.of(host, kind, name) })),
    [host, history.version(host, kind)],
  );
  return <Chart title={title} at={drawn[0]?.at ?? []} lines={drawn} {...rest} />;
}

/** Routes that a router has taken and sends, over all its sessions. */
export function RoutesChart(of: Of) {
  return (
    <HistoryChart
      {...of}
      kind="bgp"
      lines={{ imported: "imported", exported: "exported" }}
      text={numberText}
    />
  );
}
