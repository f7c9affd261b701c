/** A host's declared resources: how many are as declared, and each that failed, was edited by hand or is held, with what and since when. */
import { timeText } from "@muster/protocol/time";
import type { Tint } from "@muster/view/status";
import { durationText } from "@muster/view/words";
import { State } from "../parts/state.tsx";
import { Table } from "../parts/table.tsx";
import type { OfHost } from "./section.tsx";

type Row = {
  readonly ref: string;
  readonly tint: Tint;
  readonly how: string;
  readonly what: string;
  /** By the host's clock; null = not known. */
  readonly since: number | null;
  readonly next: string;
};

export function Resources({ frame, row }: OfHost) {
  const { name, convergence, clock_skew_ms } = row.known;
  if (convergence === null) return null;
  const { resources, drift, held, troubles } = convergence;
  const there_ms = frame.now_ms + clock_skew_ms;
  const rows: Row[] = [
    ...troubles.map(
      ({ ref, what, since }): Row => ({
        ref,
        tint: "red",
        how: "failed",
        what,
        since,
        next: `ctl plan ${name}`,
      }),
    ),
    ...drift.map(
      ({ ref, what, action, since }): Row => ({
        ref,
        tint: action === "corrected" ? "grey" : "amber",
        how: action === "corrected" ? "edited by hand, put back" : "edited by hand, left",
        what,
        since,
        next: action === "corrected" ? "" : `ctl plan ${name} --overwrite`,
      }),
    ),
    ...held.map(
      ({ ref, why, by, until }): Row => ({
        ref: ref ?? "the whole host",
        tint: "amber",
        how: `held by ${by}${until === null ? "" : ` until ${timeText(until)}`}`,
        what: why,
        since: null,
        next: `on the host: muster-agent unhold${ref === null ? "" : ` ${ref}`}`,
      }),
    ),
  ];
  return (
    <section data-kind="resources">
      <h2>
        resources: {resources.ok} of {resources.total} as declared
        {row.state === "silent" ? ", as it last said" : ""}
      </h2>
      <p class="quiet">
        {Object.entries(resources.managed)
          .map(([kind, count]) => `${count} ${kind}`)
          .join(" · ")}
      </p>
      {rows.length === 0 ? null : (
        <Table
          label="resource"
          titles={["resource", "how", "what", "since", "next"]}
          rows={rows}
          keyOf={({ ref, how, what }) => `${ref} ${how} ${what}`}
          cells={({ ref, tint, how, what, since, next }) => [
            ref,
            <State key="how" tint={tint} word={how} />,
            what,
            since === null ? "-" : `${timeText(since)} (${durationText(there_ms - since)} ago)`,
            next === "" ? "" : <code key="next">{next}</code>,
          ]}
        />
      )}
    </section>
  );
}
