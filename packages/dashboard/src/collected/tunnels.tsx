/** A host's WireGuard tunnels, a row a peer. */
import { handshakeText, trafficText, tunnelRows, tunnelsHeading } from "@muster/view/collected";
import { Table } from "../parts/table.tsx";
import { type OfHost, Section, Verdict } from "./section.tsx";

const TITLES = ["tunnel", "verdict", "peer", "endpoint", "handshake", "in / out"];

export function Tunnels(of: OfHost) {
  return (
    <Section {...of} kind="wireguard" title="tunnels" heading={tunnelsHeading}>
      {(sample, there_ms) => (
        <Table
          label="tunnel"
          titles={TITLES}
          rows={tunnelRows(sample)}
          keyOf={({ tunnel, peer }) => `${tunnel} ${peer?.public_key ?? ""}`.trim()}
          cells={({ tunnel, state, verdict, peer }) => [
            state === "up" ? tunnel : `${tunnel} (${state})`,
            <Verdict key="verdict" verdict={verdict} />,
            peer === null ? "-" : `${peer.public_key.slice(0, 10)}…`,
            peer?.endpoint ?? "-",
            handshakeText(peer, there_ms),
            trafficText(peer?.rx_bytes ?? null, peer?.tx_bytes ?? null),
          ]}
        />
      )}
    </Section>
  );
}
