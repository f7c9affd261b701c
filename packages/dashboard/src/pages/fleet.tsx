/** The fleet by group, or by a label such as site: one state a host at a glance, and what is wrong with the next command to type. */
import type { Judged } from "@muster/view/judge";
import type { Known } from "@muster/view/known";
import { RANK } from "@muster/view/status";
import { durationText } from "@muster/view/words";
import { useMemo, useState } from "preact/hooks";
import type { Frame } from "../live.ts";
import { Counts } from "../parts/counts.tsx";
import { Rows } from "../parts/rows.tsx";
import { finds, Search } from "../parts/search.tsx";
import { State } from "../parts/state.tsx";
import { useWay } from "../place.ts";

const TROUBLES = 12;
const GROUP = "group";

type Group = { readonly group: string; readonly hosts: Judged[] };
type Row = Group | Judged;

export function FleetPage({ frame }: { frame: Frame }) {
  const [typed, setTyped] = useState("");
  const hosts = useMemo(() => found(frame.hosts, typed), [frame.hosts, typed]);
  const labels = labelsOf(frame.hosts);
  const [chosen, choose] = useWay("by", GROUP);
  const by = labels.includes(chosen) ? chosen : GROUP;
  const rows = useMemo(() => grouped(hosts, by), [hosts, by]);
  const red = hosts.flatMap(({ known, troubles }) =>
    troubles.flatMap((trouble) => (trouble.tint === "red" ? [{ host: known.name, trouble }] : [])),
  );
  return (
    <>
      <div class="bar">
        {labels.length === 0 ? null : (
          <label>
            by{" "}
            <select value={by} onChange={(event) => choose(event.currentTarget.value)}>
              {[GROUP, ...labels].map((each) => (
                <option key={each} value={each}>
                  {each}
                </option>
              ))}
            </select>
          </label>
        )}
        <Search value={typed} what="hosts, groups, states" set={setTyped} />
        <Counts hosts={hosts} />
      </div>
      {red.length === 0 ? null : (
        <section aria-label="what is wrong">
          <ul class="troubles">
            {red.slice(0, TROUBLES).map(({ host, trouble }) => (
              <li key={`${host} ${trouble.about}`}>
                <State tint={trouble.tint} word="" /> <a href={`#/host/${host}`}>{host}</a> {trouble.what}{" "}
                <code>{trouble.next}</code>
              </li>
            ))}
            {red.length > TROUBLES ? <li class="quiet">and {red.length - TROUBLES} more</li> : null}
          </ul>
        </section>
      )}
      <Rows
        label="hosts"
        kind="hosts"
        rows={rows}
        titles={["host", "state", "sessions", "certificates", "what"]}
        keyOf={(row) => ("group" in row ? `group ${row.group}` : row.known.name)}
        hrefOf={(row) => ("group" in row ? undefined : `#/host/${row.known.name}`)}
        cells={(row) =>
          "group" in row
            ? [<strong key="group">{row.group}</strong>, <Counts key="counts" hosts={row.hosts} />]
            : hostCells(row, frame.now_ms)
        }
      />
    </>
  );
}

function hostCells({ known, sessions, soonest, troubles, worst, word }: Judged, now_ms: number) {
  return [
    <a key="name" href={`#/host/${known.name}`} tabIndex={-1}>
      {known.name}
    </a>,
    <State key="state" tint={worst} word={word} />,
    sessions === null ? "-" : `${sessions.up}/${sessions.expected}`,
    soonest === null ? "-" : soonest.not_after <= now_ms ? "ended" : durationText(soonest.not_after - now_ms),
    troubles[0]?.what ?? "",
  ];
}

/** The worst first, then by name. */
function found(hosts: readonly Judged[], typed: string): Judged[] {
  const chosen =
    typed.trim() === "" ? [...hosts] : hosts.filter(({ known, word }) => finds(typed, textOf(known, word)));
  return chosen.sort(
    (one, other) => RANK[one.worst] - RANK[other.worst] || (one.known.name < other.known.name ? -1 : 1),
  );
}

const textOf = ({ name, groups, labels }: Known, word: string) =>
  [name, ...groups, ...Object.values(labels), word].join(" ");

/** Every label that a host has. One called as what is not a label is left to that. */
function labelsOf(hosts: readonly Judged[]): string[] {
  const names = new Set(hosts.flatMap(({ known }) => Object.keys(known.labels)));
  names.delete(GROUP);
  return [...names].sort();
}

/** Each host once, below the first of its groups or what it has for that label; groups with trouble first. */
function grouped(hosts: readonly Judged[], by: string): Row[] {
  const groups = new Map<string, Group>();
  for (const host of hosts) {
    const { known } = host;
    const name = (by === GROUP ? known.groups[0] : known.labels[by]) ?? `no ${by}`;
    const group = groups.get(name);
    if (group === undefined) groups.set(name, { group: name, hosts: [host] });
    else group.hosts.push(host);
  }
  return [...groups.values()].flatMap((group): Row[] => [group, ...group.hosts]);
}
