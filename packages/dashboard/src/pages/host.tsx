/** One host: how it stands and why, its health as it was told, sessions, certificates, resources that differ or are held, events. */
import { checkColour } from "@muster/protocol/telemetry/checks";
import { timeText } from "@muster/protocol/time";
import { checkWord, sortedChecks } from "@muster/view/checks";
import { rateText } from "@muster/view/load";
import type { HostStatus } from "@muster/view/status";
import { durationText, listText } from "@muster/view/words";
import { useEffect } from "preact/hooks";
import type { Frame } from "../live.ts";
import { HistoryChart, RoutesChart } from "../parts/charts.tsx";
import { EventLines } from "../parts/events.tsx";
import { SessionTable } from "../parts/sessions.tsx";
import { State } from "../parts/state.tsx";

const EVENTS = 50;

export function HostPage({ frame, name }: { frame: Frame; name: string }) {
  const row = frame.hosts.find(({ known }) => known.name === name);
  if (row === undefined) return <p>there is no host {name} here</p>;
  const { known } = row;
  const { now_ms } = frame;
  const events = frame.events
    .filter(({ host }) => host === name)
    .slice(-EVENTS)
    .reverse();
  return (
    <article data-host={name} data-state={row.state}>
      <h1>
        {name} <State tint={row.tint} word={row.word} />
      </h1>
      <p class="quiet">
        {listText(known.groups)} · generation {known.convergence?.generation ?? "-"} · agent{" "}
        {known.agent_version ?? "-"} ·{" "}
        {known.heard_at === null ? "never heard" : `heard ${durationText(now_ms - known.heard_at)} ago`}
      </p>
      <ul class="troubles">
        {row.troubles.map(({ tint, what, next }) => (
          <li key={what}>
            <State tint={tint} word="" /> {what} <code>{next}</code>
          </li>
        ))}
      </ul>
      <HealthCharts frame={frame} row={row} />
      <section>
        <h2>Sessions</h2>
        <SessionTable row={row} now_ms={now_ms} />
      </section>
      <Checks row={row} now_ms={now_ms} />
      <Resources row={row} />
      <section>
        <h2>Certificates</h2>
        <ul>
          {known.certificates.map((certificate) => (
            <li key={certificate.name}>
              {certificate.name}: until {timeText(certificate.not_after)} (
              {durationText(certificate.not_after - now_ms)})
            </li>
          ))}
        </ul>
      </section>
      <section>
        <h2>Events</h2>
        <EventLines events={events} />
      </section>
    </article>
  );
}

const percent = (value: number) => `${Math.round(value * 100)} %`;
function HealthCharts({ frame, row }: { frame: Frame; row: HostStatus }) {
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
  return (
    <section aria-label="health">
      <h2>Health, the last hours</h2>
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
        <HistoryChart
          {...draw}
          kind="health"
          title="processors"
          lines={{ busy: "cpu" }}
          text={percent}
          max={1}
        />
        <HistoryChart
          {...draw}
          kind="health"
          title="memory"
          lines={{ used: "memory" }}
          text={percent}
          max={1}
        />
        <HistoryChart
          {...draw}
          kind="health"
          title="network"
          lines={{ in: "received_bits_per_s", out: "sent_bits_per_s" }}
          text={rateText}
        />
        <RoutesChart {...draw} title="routes" />
      </div>
      {row.state === "silent" ? null : (
        <ul class="inline">
          {disks.map(({ mount, used_bytes, size_bytes }) => (
            <li key={mount}>
              {mount} {percent(used_bytes / size_bytes)} full
            </li>
          ))}
          {health === null ? null : <li>load {health.load.map((each) => each.toFixed(2)).join(" ")}</li>}
          {health === null ? null : <li>up {durationText(health.uptime_s * 1_000)}</li>}
        </ul>
      )}
    </section>
  );
}

/** Red first; what a silent host said of them is not shown as if it were so now. */
function Checks({ row, now_ms }: { row: HostStatus; now_ms: number }) {
  const { name, checks, clock_skew_ms } = row.known;
  if (row.state === "silent" || checks === null || checks.checks.length === 0) return null;
  const there_ms = now_ms + clock_skew_ms;
  const rows = sortedChecks(
    checks.checks.map((check) => ({ host: name, check })),
    ({ check }) => checkColour(check, there_ms),
  );
  return (
    <section>
      <h2>Checks</h2>
      <ul>
        {rows.map(({ check }) => (
          <li key={check.name} data-check={check.name}>
            <State tint={checkColour(check, there_ms)} word={check.name} /> {checkWord(check)} for{" "}
            {durationText(there_ms - check.since)} · {check.method} {check.target}
            {check.why === "" ? "" : `: ${check.why}`}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Resources({ row }: { row: HostStatus }) {
  const { convergence } = row.known;
  if (convergence === null) return null;
  const { resources, drift, held, troubles } = convergence;
  return (
    <section>
      <h2>Resources</h2>
      <p>
        {resources.ok} of {resources.total} as declared
        {Object.entries(resources.managed).map(([kind, count]) => ` · ${count} ${kind}`)}
      </p>
      <ul>
        {troubles.map(({ ref, what, since }) => (
          <li key={`${ref} ${what}`}>
            <State tint="red" word={ref} /> since {timeText(since)}: {what}
          </li>
        ))}
        {drift.map(({ ref, what, action }) => (
          <li key={`${ref} ${what}`}>
            <State tint={action === "corrected" ? "grey" : "amber"} word={ref} /> {what} ({action})
          </li>
        ))}
        {held.map(({ ref, why, by, until }) => (
          <li key={`held ${ref}`}>
            <State tint="amber" word={ref ?? "the whole host"} /> held by {by}
            {until === null ? "" : ` until ${timeText(until)}`}: {why}
          </li>
        ))}
      </ul>
    </section>
  );
}
