/** BGP: what is declared against what is seen, red where something is missing that should be there; routes over time; what falls, and with what. */
import { type BgpSession, bgpColour } from "@muster/protocol/telemetry/bgp";
import type { Judged } from "@muster/view/judge";
import { countText } from "@muster/view/words";
import { useEffect, useState } from "preact/hooks";
import type { Frame } from "../live.ts";
import { RoutesChart } from "../parts/charts.tsx";
import { Falls } from "../parts/falls.tsx";
import { Matrix } from "../parts/matrix.tsx";
import { finds, Search } from "../parts/search.tsx";

const ROUTERS = 200;
const CHARTS = 12;

export function BgpPage({ frame }: { frame: Frame }) {
  const [typed, setTyped] = useState("");
  const [only, setOnly] = useState(false);
  const routers = frame.hosts
    .map((row) => ({
      row,
      sessions: only
        ? (row.known.bgp?.sessions ?? []).filter((each) => isWrong(row, each))
        : (row.known.bgp?.sessions ?? []),
    }))
    .filter(
      ({ row, sessions }) =>
        sessions.length > 0 &&
        (typed.trim() === "" || finds(typed, `${row.known.name} ${sessions.map(textOf).join(" ")}`)),
    );
  const shown = routers.slice(0, ROUTERS);
  const count = routers.reduce((sum, { sessions }) => sum + sessions.length, 0);
  return (
    <>
      <div class="bar">
        <Search value={typed} what="routers, sessions, AS" set={setTyped} />
        <label>
          <input type="checkbox" checked={only} onChange={(event) => setOnly(event.currentTarget.checked)} />{" "}
          only what is wrong
        </label>
        <span>{countText(count, "session")}</span>
      </div>
      {shown.length === 0 ? (
        <p class="quiet">{only ? "nothing is wrong" : "no sessions, declared or seen"}</p>
      ) : null}
      <Matrix routers={shown} only={only} now_ms={frame.now_ms} />
      {routers.length > ROUTERS ? (
        <p class="quiet">and {routers.length - ROUTERS} routers more: search for them</p>
      ) : null}
      <RoutesOverTime frame={frame} names={shown.map(({ row }) => row.known.name)} />
      <Falls frame={frame} />
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
const isWrong = (row: Judged, { verdict }: BgpSession) =>
  row.state === "silent" || ["red", "amber"].includes(bgpColour(verdict));
