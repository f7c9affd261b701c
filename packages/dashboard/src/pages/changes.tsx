/** Changes as they go out: who ordered them, which batch is on its way, who has which generation, what was undone and why. */
import type { Judged } from "@muster/view/judge";
import { countText, durationText, listText } from "@muster/view/words";
import type { Frame } from "../live.ts";
import { EventLines } from "../parts/events.tsx";
import { RolloutView } from "../parts/rollout.tsx";
import { State } from "../parts/state.tsx";
import { useAnswer } from "../questions.ts";

const KINDS = new Set(["rollout", "convergence", "guard", "refusal", "drain"]);
const EVENTS = 100;
const UNDER_WAY = new Set(["applying", "unconfirmed", "undone", "failed", "refused", "returned", "pending"]);
const ROLLOUTS = { limit: 10 };
/** Its begin and end are events; on its way it is asked for. */
const RUNNING_MS = 2_000;
const ENDED_MS = 60_000;

export function ChangesPage({ frame }: { frame: Frame }) {
  const asked = frame.questions.answer("rollouts", ROLLOUTS).value?.rollouts ?? [];
  const runs = asked.some(({ state }) => state === "running");
  const { value, why } = useAnswer(frame, "rollouts", ROLLOUTS, runs ? RUNNING_MS : ENDED_MS);
  const moving = frame.hosts.filter(({ state }) => UNDER_WAY.has(state));
  const events = frame.events
    .filter(({ event }) => KINDS.has(event.kind))
    .slice(-EVENTS)
    .reverse();
  return (
    <>
      <section>
        <h2>under way or gone wrong</h2>
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
        <h2>changes</h2>
        {why === null ? null : (
          <p>
            {value === null ? "not known" : "as of before"}: {why}
          </p>
        )}
        {value?.rollouts.length === 0 ? <p class="quiet">none yet</p> : null}
        {value?.rollouts.map((rollout) => (
          <RolloutView key={rollout.id} rollout={rollout} there_ms={frame.there_ms} />
        ))}
      </section>
      <Generations hosts={frame.hosts} />
      <section>
        <h2>what was told of it</h2>
        <EventLines events={events} />
      </section>
    </>
  );
}

/** Who has what: more than one line is a fleet that is on its way, or was changed in parts. */
function Generations({ hosts }: { hosts: readonly Judged[] }) {
  const generations = new Map<number, string[]>();
  for (const { known } of hosts) {
    const generation = known.convergence?.generation;
    if (generation == null) continue;
    const names = generations.get(generation);
    if (names === undefined) generations.set(generation, [known.name]);
    else names.push(known.name);
  }
  const newest = [...generations].sort(([one], [other]) => other - one).slice(0, 8);
  return (
    <section>
      <h2>who has which generation</h2>
      <ul>
        {newest.map(([generation, names]) => (
          <li key={generation}>
            {generation}: {countText(names.length, "host")}, {listText(names)}
          </li>
        ))}
      </ul>
    </section>
  );
}
