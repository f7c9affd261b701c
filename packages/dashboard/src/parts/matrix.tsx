/** Routers by neighbours: a row a router, a column a session's name; with too many names each router has its sessions side by side. */
import { type BgpSession, bgpColour } from "@muster/protocol/telemetry/bgp";
import type { Judged } from "@muster/view/judge";
import { redSessionText, routeCount, sinceText, verdictText } from "@muster/view/sessions";
import { numberText } from "@muster/view/words";
import { Redrawn } from "./redrawn.tsx";
import { State } from "./state.tsx";

/** With more neighbours than this there is no column for each. */
const COLUMNS = 24;

export type Router = { readonly row: Judged; readonly sessions: readonly BgpSession[] };

type MatrixProps = {
  readonly routers: readonly Router[];
  /** What of each router is shown; another one is another matrix. */
  readonly only: boolean;
  readonly now_ms: number;
};

export function Matrix({ routers, only, now_ms }: MatrixProps) {
  const names = [...new Set(routers.flatMap(({ sessions }) => sessions.map(({ name }) => name)))].sort();
  const wide = names.length > COLUMNS;
  const columns = wide ? "" : names.join(" ");
  return (
    <div class="wide">
      <table class="matrix">
        {wide ? null : (
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
          {routers.map(({ row, sessions }) => (
            <Redrawn key={row.known.name} of={[row, only, columns]}>
              {() => (
                <tr>
                  <th scope="row">
                    <a href={`#/host/${row.known.name}`}>{row.known.name}</a>
                  </th>
                  {wide ? (
                    <td class="chips">
                      {sessions.map((session) => (
                        <Cell key={session.name} {...{ row, session, now_ms }} named />
                      ))}
                    </td>
                  ) : (
                    names.map((name) => {
                      const session = sessions.find((each) => each.name === name);
                      return (
                        <td key={name}>
                          {session === undefined ? null : (
                            <Cell {...{ row, session, now_ms }} named={false} />
                          )}
                        </td>
                      );
                    })
                  )}
                </tr>
              )}
            </Redrawn>
          ))}
        </tbody>
      </table>
    </div>
  );
}

const DECLARED = { none: "not declared", pending: "declared, pending", up: "declared" } as const;

type CellProps = {
  readonly row: Judged;
  readonly session: BgpSession;
  readonly now_ms: number;
  readonly named: boolean;
};

/** What a silent host said last is not shown as if it were so now. */
function Cell({ row, session, now_ms, named }: CellProps) {
  const there_ms = now_ms + row.known.clock_skew_ms;
  const silent = row.state === "silent";
  const stale = !silent && row.known.bgp !== null && row.sessions === null && session.expected === "up";
  const unknown = silent || stale;
  const colour = unknown ? "grey" : bgpColour(session.verdict);
  const imported = routeCount(session, "imported");
  const more = unknown
    ? (silent ? row.word : "").replace(/^silent /, "")
    : `${sinceText(session, there_ms)}${imported === null ? "" : ` · ${numberText(imported)} routes`}`;
  return (
    <a
      class={`cell ${colour}`}
      href={`#/host/${row.known.name}`}
      title={`${DECLARED[session.expected]}. ${unknown ? "not known now" : redSessionText(session, there_ms)}`}
      data-cell={`${row.known.name} ${session.name}`}
      data-tint={colour}
    >
      {named ? <strong>{session.name} </strong> : null}
      <State tint={colour} word={unknown ? "unknown" : verdictText(session.verdict)} />
      <small>{more}</small>
    </a>
  );
}
