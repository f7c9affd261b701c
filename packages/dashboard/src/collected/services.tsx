/** The services and timers that a host is to run, as systemd has them. */
import { memoryText, serviceState, servicesHeading } from "@muster/view/collected";
import { Table } from "../parts/table.tsx";
import { type OfHost, Section, Verdict } from "./section.tsx";

const TITLES = ["unit", "verdict", "state", "restarts", "memory"];

export function Services(of: OfHost) {
  return (
    <Section {...of} kind="services" title="services" heading={servicesHeading}>
      {({ services }, there_ms) => (
        <Table
          label="service"
          titles={TITLES}
          rows={services}
          keyOf={({ unit }) => unit}
          cells={(row) => [
            row.unit,
            <Verdict key="verdict" verdict={row.verdict} />,
            serviceState(row, there_ms),
            row.restarts ?? "-",
            memoryText(row.memory_bytes),
          ]}
        />
      )}
    </Section>
  );
}
