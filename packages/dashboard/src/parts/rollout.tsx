/** One change of the fleet: who ordered it and why, how far each batch is, and which host went wrong or back, in the guard's own words. */
import type { RolloutBrief } from "@muster/protocol/control/rollouts";
import { timeText } from "@muster/protocol/time";
import type { Tint } from "@muster/view/status";
import { countText, durationText } from "@muster/view/words";
import { State } from "./state.tsx";
import { Table } from "./table.tsx";

type How = RolloutBrief["hosts"][number]["state"];

const HOWS: Record<How, { readonly tint: Tint; readonly word: string }> = {
  failed: { tint: "red", word: "failed" },
  returned: { tint: "amber", word: "went back" },
  silent: { tint: "red", word: "silent" },
  published: { tint: "amber", word: "on its way" },
  waiting: { tint: "grey", word: "waiting" },
  converged: { tint: "green", word: "done" },
};
const ENDS: Record<RolloutBrief["state"], { readonly tint: Tint; readonly word: string }> = {
  running: { tint: "amber", word: "goes out" },
  done: { tint: "green", word: "done" },
  failed: { tint: "red", word: "stopped" },
  aborted: { tint: "amber", word: "aborted" },
};

export function RolloutView({ rollout, there_ms }: { rollout: RolloutBrief; there_ms: number }) {
  const { generation, by, message, started_at, ended_at, state, wave, waves, hosts, left_out, detail } =
    rollout;
  const took = durationText((ended_at ?? there_ms) - started_at);
  return (
    <section class="rollout" data-rollout={generation} data-state={state}>
      <h3>
        generation {generation} <State {...ENDS[state]} />
      </h3>
      <p>
        {by}, {timeText(started_at)}, {ended_at === null ? `for ${took} now` : `took ${took}`}
        {message === "" ? "" : `: ${message}`}
      </p>
      {detail === "" ? null : <p>{detail}</p>}
      <ol>
        {waves.map((counts, at) => (
          <li key={at} aria-current={state === "running" && at === wave ? "step" : undefined}>
            batch {at + 1} of {waves.length}
            {state === "running" && at === wave ? ", now" : ""}:{" "}
            {(Object.keys(HOWS) as How[]).flatMap((how) => {
              const count = counts[how] ?? 0;
              return count === 0
                ? []
                : [<State key={how} tint={HOWS[how].tint} word={`${count} ${HOWS[how].word} `} />];
            })}
          </li>
        ))}
      </ol>
      {hosts.length === 0 ? null : (
        <Table
          label={`generation ${generation}`}
          titles={["host", "how", "batch", "since", "why"]}
          rows={hosts}
          keyOf={({ host }) => host}
          cells={({ host, state: how, wave: of, at, detail: why }) => [
            <a key="host" href={`#/host/${host}`}>
              {host}
            </a>,
            <State key="how" {...HOWS[how]} />,
            of < 0 ? "-" : of + 1,
            timeText(at),
            why,
          ]}
        />
      )}
      {left_out === 0 ? null : <p class="quiet">and {countText(left_out, "more host")}</p>}
      {state === "running" ? (
        <p class="quiet">
          to stop it: <code>ctl apply --abort</code>; to watch it in a terminal:{" "}
          <code>ctl apply --watch</code>
        </p>
      ) : null}
    </section>
  );
}
