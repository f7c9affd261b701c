/** The fleet by group: one state a host at a glance, and what is wrong with the next command to type. */
import { byWorst, type HostStatus, worstTint } from "@muster/view/status";
import { countText, durationText, listText } from "@muster/view/words";
import { useMemo, useState } from "preact/hooks";
import type { Frame } from "../live.ts";
import { Rows } from "../parts/rows.tsx";
import { finds, Search } from "../parts/search.tsx";
import { State } from "../parts/state.tsx";

const TROUBLES = 12;

type Row = { readonly group: string; readonly hosts: readonly HostStatus[] } | { readonly host: HostStatus };

export function FleetPage({ frame }: { frame: Frame }) {
  const [typed, setTyped] = useState("");
  const hosts = useMemo(
    () =>
      frame.hosts
        .filter(({ known, word }) => finds(typed, `${known.name} ${known.groups.join(" ")} ${word}`))
        .sort((one, other) => byWorst(one, other) || one.known.name.localeCompare(other.known.name)),
    [frame, typed],
  );
  const rows = useMemo(() => grouped(hosts), [hosts]);
  const troubles = hosts.flatMap(({ known, troubles }) =>
    troubles.map((trouble) => ({ host: known.name, trouble })),
  );
  const red = troubles.filter(({ trouble }) => trouble.tint === "red");
  return (
    <>
      <div class="bar">
        <Search value={typed} what="hosts, groups, states" set={setTyped} />
        <Counts hosts={hosts} />
      </div>
      {red.length === 0 ? null : (
        <section aria-label="what is wrong">
          <ul class="troubles">
            {red.slice(0, TROUBLES).map(({ host, trouble }) => (
              <li key={`${host} ${trouble.what}`}>
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
        keyOf={(row) => ("group" in row ? `group ${row.group}` : row.host.known.name)}
        hrefOf={(row) => ("group" in row ? undefined : `#/host/${row.host.known.name}`)}
        cells={(row) =>
          "group" in row
            ? [<strong key="group">{row.group}</strong>, <Counts key="counts" hosts={row.hosts} />]
            : hostCells(row.host, frame.now_ms)
        }
      />
    </>
  );
}

function hostCells(row: HostStatus, now_ms: number) {
  const { known, sessions, soonest, troubles } = row;
  return [
    <a key="name" href={`#/host/${known.name}`} tabIndex={-1}>
      {known.name}
    </a>,
    <State key="state" tint={worstTint(row)} word={row.word} />,
    sessions === null ? "-" : `${sessions.up}/${sessions.expected}`,
    soonest === null ? "-" : soonest.not_after <= now_ms ? "ended" : durationText(soonest.not_after - now_ms),
    troubles[0]?.what ?? "",
  ];
}

/** Each host once, below the first of its groups; groups with trouble first. */
function grouped(hosts: readonly HostStatus[]): Row[] {
  const groups = new Map<string, HostStatus[]>();
  for (const host of hosts) {
    const group = host.known.groups[0] ?? "no group";
    groups.set(group, [...(groups.get(group) ?? []), host]);
  }
  return [...groups].flatMap(([group, members]): Row[] => [
    { group, hosts: members },
    ...members.map((host) => ({ host })),
  ]);
}

function Counts({ hosts }: { hosts: readonly HostStatus[] }) {
  const counts = (["red", "amber", "grey", "green"] as const).flatMap((tint) => {
    const count = hosts.filter((row) => worstTint(row) === tint).length;
    return count === 0 ? [] : [{ tint, count }];
  });
  return (
    <span class="counts" title={listText(hosts.map(({ known }) => known.name))}>
      {countText(hosts.length, "host")}
      {counts.map(({ tint, count }) => (
        <State key={tint} tint={tint} word={String(count)} />
      ))}
    </span>
  );
}
