/** Changes as they go out: who has which generation and how far it is, what was undone and why. */
import type { HostStatus } from "@muster/view/status";
import { countText, durationText, listText } from "@muster/view/words";
import type { Frame } from "../live.ts";
import { EventLines } from "../parts/events.tsx";
import { State } from "../parts/state.tsx";

const KINDS = new Set(["rollout", "convergence", "guard", "refusal", "drain"]);
const EVENTS = 100;
const UNDER_WAY = new Set(["applying", "unconfirmed", "undone", "failed", "refused", "returned", "pending"]);

export function ChangesPage({ frame }: { frame: Frame }) {
  const generations = new Map<number, HostStatus[]>();
  for (const row of frame.hosts) {
    const generation = row.known.convergence?.generation;
    if (generation != null) generations.set(generation, [...(generations.get(generation) ?? []), row]);
  }
  const newest = [...generations].sort(([one], [other]) => other - one).slice(0, 8);
  const moving = frame.hosts.filter(({ state }) => UNDER_WAY.has(state));
  const events = frame.events
    .filter(({ event }) => KINDS.has(event.kind))
    .slice(-EVENTS)
    .reverse();
  return (
    <>
      <section>
        <h2>Under way or gone wrong</h2>
        {moving.length === 0 ? <p class="quiet">nothing</p> : null}
        <ul class="troubles">
          {moving.map((row) => (
            <li key={row.known.name}>
              <a href={`#/host/${row.known.name}`}>{row.known.name}</a>{" "}
              <State tint={row.tint} word={row.word} /> for{" "}
              {durationText(frame.now_ms - (row.known.convergence?.since ?? frame.now_ms))}{" "}
              {row.known.convergence?.detail}
            </li>
          ))}
        </ul>
      </section>
      <section>
        <h2>Generations</h2>
        <ul>
          {newest.map(([generation, rows]) => (
            <li key={generation}>
              {generation}: {countText(rows.length, "host")}, {listText(rows.map(({ known }) => known.name))}
            </li>
          ))}
        </ul>
      </section>
      <section>
        <h2>What was told of it</h2>
        <EventLines events={events} />
      </section>
    </>
  );
}
