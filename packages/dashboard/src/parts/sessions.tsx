/** The BGP sessions of one host as a table: declared against seen. */
import { bgpColour } from "@muster/protocol/telemetry/bgp";
import { daemonFault, routeCount, sinceText, verdictText } from "@muster/view/sessions";
import type { HostStatus } from "@muster/view/status";
import { numberText } from "@muster/view/words";
import { State } from "./state.tsx";

export function SessionTable({ row, now_ms }: { row: HostStatus; now_ms: number }) {
  const { known, state } = row;
  if (state === "silent") return <p>its sessions are not known while it is silent</p>;
  if (known.bgp === null) return <p class="quiet">it tells nothing of BGP</p>;
  const there_ms = now_ms + known.clock_skew_ms;
  const fault = daemonFault(known.bgp, there_ms);
  const count = (value: number | null) => (value === null ? "-" : numberText(value));
  return (
    <>
      {fault === null || known.bgp.sessions.length === 0 ? null : <p class="state red">✖ {fault}</p>}
      <div class="wide">
        <table>
          <thead>
            <tr>
              {[
                "session",
                "neighbour",
                "AS",
                "verdict",
                "state",
                "since",
                "imported",
                "exported",
                "flaps/h",
              ].map((title) => (
                <th key={title}>{title}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {known.bgp.sessions.map((session) => (
              <tr key={session.name} data-session={session.name}>
                <th scope="row">{session.name}</th>
                <td>{session.neighbor_address ?? session.neighbor_range ?? "-"}</td>
                <td>{session.neighbor_as ?? "any"}</td>
                <td>
                  <State tint={bgpColour(session.verdict)} word={verdictText(session.verdict)} />{" "}
                  {session.why}
                </td>
                <td>{session.state}</td>
                <td>{sinceText(session, there_ms)}</td>
                <td>{count(routeCount(session, "imported"))}</td>
                <td>{count(routeCount(session, "exported"))}</td>
                <td>{count(session.flaps)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}
