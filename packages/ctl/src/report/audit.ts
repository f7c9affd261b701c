/** The audit for the eye: a row a record, and what a check of it found. Pure. */
import { auditFailed, auditResult, auditTarget, auditWho } from "@muster/view/audit";
import type { Stored } from "../audit/read.ts";
import type { Verdict } from "../audit/verify.ts";
import type { Colour } from "../output/colour.ts";
import type { Column } from "../output/table.ts";
import { countText, durationText, timeText } from "../output/words.ts";

export type AuditRow = Stored & { readonly record: NonNullable<Stored["record"]> };

export function auditColumns(colour: Colour): Column<AuditRow>[] {
  const result = ({ record }: AuditRow) => {
    const text = auditResult(record);
    return auditFailed(record) ? colour.red(text) : text;
  };
  return [
    {
      title: "WHEN",
      value: ({ record }) => new Date(record.at).toISOString().slice(0, 19).replace("T", " "),
    },
    { title: "WHERE", value: ({ record, writer }) => record.host ?? writer },
    { title: "WHO", value: ({ record }) => auditWho(record) },
    { title: "WHAT", value: ({ record }) => record.what },
    { title: "RESULT", value: result },
    { title: "TARGET", value: ({ record }) => auditTarget(record) },
    { title: "AUTHORITY", value: ({ record }) => record.authority, wide: true },
    { title: "FROM", value: ({ record }) => record.from, wide: true },
    { title: "RECORD", value: ({ record }) => String(record.seq), align: "right", wide: true },
    { title: "LATE", value: ({ late_ms }) => (late_ms === 0 ? "" : durationText(late_ms)), wide: true },
  ];
}

/** What `ctl audit --verify` says, the worst first. */
export function verdictLines({ writers, faults, silent }: Verdict, colour: Colour): string[] {
  const wrong = faults.map(({ writer, host, seq, at, what }) => {
    const when = at === null ? "" : `, ${timeText(at)}`;
    return `${colour.red(host ?? writer)}  ${what} (record ${seq}${when})`;
  });
  const unheard = silent.map(
    (name) => `${colour.amber(name)}  silent: the end of its audit cannot be checked`,
  );
  const waiting = writers
    .filter((each) => each.waiting > 0)
    .map((each) => `${each.host ?? each.writer}  ${countText(each.waiting, "record")} still to be sent`);
  const records = writers.reduce((sum, each) => sum + each.records, 0);
  const all = `${countText(records, "record")} by ${countText(writers.length, "writer")}: `;
  const end =
    faults.length === 0 ? "none is missing or changed" : colour.red(countText(faults.length, "fault"));
  return [...wrong, ...unheard, ...waiting, all + end];
}
