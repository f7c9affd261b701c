/** Routers by neighbours: what is declared against what is seen, red where something is missing that should be there. */
import { type BgpSession, bgpColour } from "@muster/protocol/telemetry/bgp";
import { redSessionText, routeCount, sinceText, verdictText } from "@muster/view/sessions";
import type { HostStatus } from "@muster/view/status";
import { countText, numberText } from "@muster/view/words";
import { useEffect, useState } from "preact/hooks";
import type { Frame } from "../live.ts";
import { RoutesChart } from "../parts/charts.tsx";
import { finds, Search } from "../parts/search.tsx";
import { State } from "../parts/state.tsx";

/** With more neighbours than this there is no column for each. */
const COLUMNS = 24;
const ROUTERS = 200;
const CHARTS = 12;

export function BgpPage({ frame }: { frame: Frame }) {
  const [typed, setTyped] = useState("");
  const [only, setOnly] = useState(false);
  const routers = frame.hosts
    .map((row) => ({
      row,
      sessions: (row.known.bgp?.sessions ?? []).filter((each) => !only || isWrong(row, each)),
    }))
    .filter(
      ({ row, sessions }) =>
        sessions.length > 0 && finds(typed, `${row.known.name} ${sessions.map(textOf).join(" ")}`),
    );
  const names = [...new Set(routers.flatMap(({ sessions }) => sessions.map(({ name }) => name)))].sort();
  const shown = routers.slice(0, ROUTERS);
  return (
    <>
      <div class="bar">
        <Search value={typed} what="routers, sessions, AS" set={setTyped} />
        <label>
          <input type="checkbox" checked={only} onChange={(event) => setOnly(event.currentTarget.checked)} />{" "}
          only what is wrong
        </label>
        <span>
          {countText(
            routers.reduce((sum, { sessions }) => sum + sessions.length, 0),
            "session",
          )}
        </span>
      </div>
      {shown.length === 0 ? (
        <p class="quiet">{only ? "nothing is wrong" : "no sessions, declared or seen"}</p>
      ) : null}
      <div class="wide">
        <table class="matrix">
          {names.length > COLUMNS ? null : (
            <thead>
              <tr>
                <th scope="col">router</th>
                {names.map((name) => (
                  <th key={name} scope="col">
                    {name}
                  </th>
                ))}
              </tr>
            </thead>
          )}
          <tbody>
            {shown.map(({ row, sessions }) => (
              <tr key={row.known.name}>
                <th scope="row">
                  <a href={`#/host/${row.known.name}`}>{row.known.name}</a>
                </th>
                {names.length > COLUMNS ? (
                  <td class="chips">
                    {sessions.map((session) => (
                      <Cell key={session.name} row={row} session={session} named now_ms={frame.now_ms} />
                    ))}
                  </td>
                ) : (
                  names.map((name) => {
                    const session = sessions.find((each) => each.name === name);
                    return (
                      <td key={name}>
                        {session === undefined ? null : (
                          <Cell row={row} session={session} named={false} now_ms={frame.now_ms} />
                        )}
                      </td>
                    );
                  })
                )}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <RoutesOverTime frame={frame} names={shown.map(({ row }) => row.known.name)} />
      {routers.length > ROUTERS ? (
        <p class="quiet">and {routers.length - ROUTERS} routers more: search for them</p>
      ) : null}
    </>
  );
}

/** Prefix counts of the routers shown, asked for when somebody opens it. */
function RoutesOverTime({ frame, names }: { frame: Frame; names: readonly string[] }) {
  const [open, setOpen] = useState(false);
  const { history, now_ms } = frame;
  const drawn = open ? names.slice(0, CHARTS) : [];
  useEffect(() => {
    for (const name of drawn) history.want(name, "bgp", now_ms);
  });
  if (names.length === 0) return null;
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>routes over the last hours</summary>
      <div class="charts">
        {drawn.map((name) => (
          <RoutesChart key={name} {...{ history, now_ms, title: name }} host={name} />
        ))}
      </div>
      {open && names.length > CHARTS ? (
        <p class="quiet">of the first {CHARTS} routers: search for others</p>
      ) : null}
    </details>
  );
}

const textOf = ({ name, neighbor_as, neighbor_address, verdict }: BgpSession) =>
  `${name} ${neighbor_as ?? ""} ${neighbor_address ?? ""} ${verdict}`;
const isWrong = (row: HostStatus, { verdict }: BgpSession) =>
  row.state === "silent" || ["red", "amber"].includes(bgpColour(verdict));

type CellProps = { row: HostStatus; session: BgpSession; named: boolean; now_ms: number };

/** What a silent host said last is not shown as if it were so now. */
function Cell({ row, session, named, now_ms }: CellProps) {
  const there_ms = now_ms + row.known.clock_skew_ms;
  const silent = row.state === "silent";
  const stale = !silent && row.known.bgp !== null && row.sessions === null && session.expected === "up";
  const unknown = silent || stale;
  const colour = unknown ? "grey" : bgpColour(session.verdict);
  const imported = routeCount(session, "imported");
  const more = unknown
    ? (silent ? row.word : "").replace(/^silent /, "")
    : `${sinceText(session, there_ms)}${imported === null ? "" : ` · ${numberText(imported)} routes`}`;
  const declared =
    session.expected === "none"
      ? "not declared"
      : session.expected === "pending"
        ? "declared, pending"
        : "declared";
  return (
    <a
      class={`cell ${colour}`}
      href={`#/host/${row.known.name}`}
      title={`${declared}. ${unknown ? "not known now" : redSessionText(session, there_ms)}`}
      data-cell={`${row.known.name} ${session.name}`}
      data-tint={colour}
    >
      {named ? <strong>{session.name} </strong> : null}
      <State tint={colour} word={unknown ? "unknown" : verdictText(session.verdict)} />
      <small>{more}</small>
    </a>
  );
}
