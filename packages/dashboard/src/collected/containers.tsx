/** A host's containers, declared against seen. */
import {
  containerImage,
  containerState,
  containersHeading,
  memoryText,
  trafficText,
} from "@muster/view/collected";
import { Table } from "../parts/table.tsx";
import { type OfHost, Section, Verdict } from "./section.tsx";

const TITLES = ["container", "verdict", "state", "restarts", "CPU", "memory", "in / out", "image"];

export function Containers(of: OfHost) {
  return (
    <Section {...of} kind="containers" title="containers" heading={containersHeading}>
      {({ containers }, there_ms) => (
        <Table
          label="container"
          titles={TITLES}
          rows={containers}
          keyOf={({ name }) => name}
          cells={(row) => [
            row.declared ? row.name : `${row.name} (not Muster's)`,
            <Verdict key="verdict" verdict={row.verdict} />,
            containerState(row, there_ms),
            row.restarts ?? "-",
            row.cpu === null ? "-" : `${(row.cpu * 100).toFixed(1)} %`,
            memoryText(row.memory_bytes, row.memory_limit_bytes),
            trafficText(row.rx_bytes, row.tx_bytes),
            containerImage(row),
          ]}
        />
      )}
    </Section>
  );
}
