/** The routes of a router's sessions over time, one chart each, asked for when somebody opens it. */
import type { Judged } from "@muster/view/judge";
import { numberText } from "@muster/view/words";
import { useEffect, useState } from "preact/hooks";
import { routesOf } from "../history.ts";
import type { Frame } from "../live.ts";
import { HistoryChart } from "./charts.tsx";

const CHARTS = 12;

export function SessionRoutes({ frame, row }: { frame: Frame; row: Judged }) {
  const [open, setOpen] = useState(false);
  const { history, now_ms } = frame;
  const host = row.known.name;
  const names = (row.known.bgp?.sessions ?? []).map(({ name }) => name);
  const drawn = names.slice(0, CHARTS);
  useEffect(() => {
    if (open) history.want(host, "sessions", now_ms, drawn);
  });
  if (names.length === 0) return null;
  const lack = history.lack(host, "sessions");
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>routes of each session over the last hours</summary>
      {lack === null ? null : <p class="quiet">what was before is not known ({lack})</p>}
      <div class="charts">
        {open
          ? drawn.map((name) => (
              <HistoryChart
                key={name}
                {...{ history, now_ms, host, title: name }}
                kind="sessions"
                lines={{ imported: routesOf(name) }}
                text={numberText}
              />
            ))
          : null}
      </div>
      {names.length > CHARTS ? <p class="quiet">of the first {CHARTS} sessions</p> : null}
    </details>
  );
}
