/** The certificates on a host: those that Muster gave it, and those that its inventory lists. */
import { certificateEnds, certificatesHeading, certificateWhere } from "@muster/view/collected";
import { listText } from "@muster/view/words";
import { Table } from "../parts/table.tsx";
import { type OfHost, Section, Verdict } from "./section.tsx";

const TITLES = ["certificate", "verdict", "ends", "where", "names", "issuer"];

export function Certificates(of: OfHost) {
  return (
    <Section {...of} kind="certificates" title="certificates" heading={certificatesHeading}>
      {({ certificates }, there_ms) => (
        <Table
          label="certificate"
          titles={TITLES}
          rows={[...certificates].sort((one, other) => (one.not_after ?? 0) - (other.not_after ?? 0))}
          keyOf={({ name, where }) => `${name} ${where ?? ""}`.trim()}
          cells={(row) => [
            row.name,
            <Verdict key="verdict" verdict={row.verdict} />,
            certificateEnds(row, there_ms),
            certificateWhere(row),
            listText(row.names, 3) || "-",
            row.issuer ?? "-",
          ]}
        />
      )}
    </Section>
  );
}
