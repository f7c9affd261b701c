/** What a host is to answer, and whether it does: red first. What a silent host said is not shown as if it were so now. */
import { checkColour } from "@muster/protocol/telemetry/checks";
import { checkWord, sortedChecks } from "@muster/view/checks";
import { durationText } from "@muster/view/words";
import { State } from "../parts/state.tsx";
import { Table } from "../parts/table.tsx";
import type { OfHost } from "./section.tsx";

const TITLES = ["check", "verdict", "for", "asks", "answered in", "in its own words"];

export function Checks({ frame, row }: OfHost) {
  const { name, checks, clock_skew_ms } = row.known;
  if (row.state === "silent" || checks === null || checks.checks.length === 0) return null;
  const there_ms = frame.now_ms + clock_skew_ms;
  const rows = sortedChecks(
    checks.checks.map((check) => ({ host: name, check })),
    ({ check }) => checkColour(check, there_ms),
  );
  return (
    <section data-kind="checks">
      <h2>checks: {rows.length}</h2>
      <Table
        label="check"
        titles={TITLES}
        rows={rows}
        keyOf={({ check }) => check.name}
        cells={({ check }) => [
          check.name,
          <State key="state" tint={checkColour(check, there_ms)} word={checkWord(check)} />,
          durationText(there_ms - check.since),
          `${check.method} ${check.target}`,
          check.latency_ms === null ? "-" : `${Math.round(check.latency_ms)} ms`,
          [
            check.why,
            ...(check.reasons ?? []).flatMap(({ name: of, ok, why }) =>
              ok === true ? [] : [`${of}: ${why}`],
            ),
          ]
            .filter((words) => words !== "")
            .join("; "),
        ]}
      />
    </section>
  );
}
