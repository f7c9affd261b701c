/** Every host's certificates, those that end first on top. */
import { timeText } from "@muster/protocol/time";
import { durationText } from "@muster/view/words";
import type { Frame } from "../live.ts";
import { Rows } from "../parts/rows.tsx";
import { State } from "../parts/state.tsx";

export function CertificatesPage({ frame }: { frame: Frame }) {
  const { now_ms } = frame;
  const rows = frame.hosts
    .flatMap(({ known, troubles }) =>
      known.certificates.map((certificate) => ({
        host: known.name,
        ...certificate,
        wrong: troubles.some(({ what }) => what.startsWith(`${certificate.name} certificate `)),
      })),
    )
    .sort((one, other) => one.not_after - other.not_after || one.host.localeCompare(other.host));
  return (
    <Rows
      label="certificates by their end"
      kind="certificates"
      rows={rows}
      titles={["host", "certificate", "left", "until"]}
      keyOf={({ host, name }) => `${host} ${name}`}
      hrefOf={({ host }) => `#/host/${host}`}
      cells={({ host, name, not_after, wrong }) => [
        host,
        name,
        <State
          key="left"
          tint={wrong ? "red" : "green"}
          word={not_after <= now_ms ? "ended" : durationText(not_after - now_ms)}
        />,
        timeText(not_after),
      ]}
    />
  );
}
