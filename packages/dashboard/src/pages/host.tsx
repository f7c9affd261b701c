/** One host: how it stands and why with the next command, its health as it was told, and everything that its collectors see. */
import { durationText, listText } from "@muster/view/words";
import { Certificates } from "../collected/certificates.tsx";
import { Checks } from "../collected/checks.tsx";
import { Containers } from "../collected/containers.tsx";
import { Packages } from "../collected/packages.tsx";
import { Resources } from "../collected/resources.tsx";
import { Services } from "../collected/services.tsx";
import { Tunnels } from "../collected/tunnels.tsx";
import type { Frame } from "../live.ts";
import { EventLines } from "../parts/events.tsx";
import { HealthCharts } from "../parts/health.tsx";
import { SessionRoutes } from "../parts/session-routes.tsx";
import { SessionTable } from "../parts/sessions.tsx";
import { State } from "../parts/state.tsx";

const EVENTS = 50;

export function HostPage({ frame, name }: { frame: Frame; name: string }) {
  const row = frame.hosts.find(({ known }) => known.name === name);
  if (row === undefined) return <p>there is no host {name} here</p>;
  const { known } = row;
  const { now_ms } = frame;
  const of = { frame, row };
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
        {known.groups.length === 0 ? "" : `${listText(known.groups)} · `}
        {Object.entries(known.labels).map(([label, value]) => `${label} ${value} · `)}generation{" "}
        {known.convergence?.generation ?? "-"} · agent {known.agent_version ?? "-"} ·{" "}
        {known.heard_at === null ? "never heard" : `heard ${durationText(now_ms - known.heard_at)} ago`}
      </p>
      <ul class="troubles">
        {row.troubles.map(({ tint, about, what, next }) => (
          <li key={about} data-about={about}>
            <State tint={tint} word="" /> {what} <code>{next}</code>
          </li>
        ))}
      </ul>
      {known.enrolled ? (
        <>
          <HealthCharts {...of} />
          <section>
            <h2>sessions</h2>
            <SessionTable row={row} now_ms={now_ms} />
            <SessionRoutes {...of} />
          </section>
          <Checks {...of} />
          <Resources {...of} />
          <Containers {...of} />
          <Services {...of} />
          <Tunnels {...of} />
          <Certificates {...of} />
          <Packages {...of} />
        </>
      ) : null}
      <section>
        <h2>events</h2>
        <EventLines events={events} />
      </section>
    </article>
  );
}
