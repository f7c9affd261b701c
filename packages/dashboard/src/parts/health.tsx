/** A host's health as it was told over the last hours, and what of it is told now. */
import { diskSeries } from "@muster/protocol/history";
import { timeText } from "@muster/protocol/time";
import type { Judged } from "@muster/view/judge";
import { rateText } from "@muster/view/load";
import { machineFacts } from "@muster/view/machine";
import { listText } from "@muster/view/words";
import { useEffect } from "preact/hooks";
import type { Frame } from "../live.ts";
import { HistoryChart, RoutesChart } from "./charts.tsx";

/** Of more disks than these the list below says how full they are. */
const DISK_CHARTS = 8;

const percent = (value: number) => `${Math.round(value * 100)} %`;

export function HealthCharts({ frame, row }: { frame: Frame; row: Judged }) {
  const { name, health } = row.known;
  const { history, now_ms } = frame;
  useEffect(() => {
    history.want(name, "health", now_ms);
    history.want(name, "bgp", now_ms);
  });
  const disks = (health?.disks ?? []).filter(({ size_bytes }) => size_bytes > 0);
  const lack = history.lack(name, "health");
  const late = history.late(name, "health");
  const draw = { history, now_ms, host: name };
  const share = { ...draw, kind: "health" as const, text: percent, max: 1 };
  return (
    <section aria-label="health">
      <h2>health, the last hours</h2>
      {row.state === "silent" ? <p>its health is not known while it is silent</p> : null}
      {lack === null ? null : (
        <p class="quiet">only since this page was opened: what was before is not known ({lack})</p>
      )}
      {late.length === 0 ? null : (
        <p class="quiet">
          told later, since it had no broker:{" "}
          {listText(late.map(({ from, to }) => `${timeText(from)} to ${timeText(to)}`))}
        </p>
      )}
      <div class="charts">
        <HistoryChart {...share} title="processors" lines={{ busy: "cpu" }} />
        <HistoryChart {...share} title="memory" lines={{ used: "memory" }} />
        <HistoryChart
          {...draw}
          kind="health"
          title="network"
          lines={{ in: "received_bits_per_s", out: "sent_bits_per_s" }}
          text={rateText}
        />
        <HistoryChart
          {...draw}
          kind="health"
          title="load"
          lines={{ "over a minute": "load1" }}
          text={(value) => value.toFixed(2)}
        />
        {disks.slice(0, DISK_CHARTS).map(({ mount }) => (
          <HistoryChart key={mount} {...share} title={`disk ${mount}`} lines={{ used: diskSeries(mount) }} />
        ))}
        {row.known.bgp === null ? null : <RoutesChart {...draw} title="routes" />}
      </div>
      {row.state === "silent" || health === null ? null : (
        <ul class="inline">
          {machineFacts(health).map((fact) => (
            <li key={fact}>{fact}</li>
          ))}
        </ul>
      )}
    </section>
  );
}
