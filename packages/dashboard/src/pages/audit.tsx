/** Who asked for what, on whose authority, and what came of it, newest first, with a search: for pages of operators and admins. */
import { timeText } from "@muster/protocol/time";
import { auditFailed, auditResult, auditTarget, auditWho } from "@muster/view/audit";
import { countText, durationText } from "@muster/view/words";
import { useEffect, useState } from "preact/hooks";
import type { AuditLine } from "../audit-trail.ts";
import type { Access } from "../bus.ts";
import type { Frame } from "../live.ts";
import { finds, Search } from "../parts/search.tsx";
import { SpanChoice, sinceOf } from "../parts/span.tsx";
import { State } from "../parts/state.tsx";
import { useWay } from "../place.ts";

const SHOWN = 200;
const SPANS = { "1": "the last hour", "24": "the last day", "168": "the last week" };

export const mayReadAudit = ({ rank }: Access): boolean => rank === "operator" || rank === "admin";

export function AuditPage({ frame }: { frame: Frame }) {
  if (mayReadAudit(frame.access)) return <Trail frame={frame} />;
  return (
    <p>
      The audit is for operators, and this page was opened by a viewer. Who ordered what stands in the{" "}
      <a href="#/events">events</a> too, with the person's name.
    </p>
  );
}

function Trail({ frame }: { frame: Frame }) {
  const [typed, setTyped] = useState("");
  const [span, setSpan] = useWay("hours", "24");
  const { audit, there_ms } = frame;
  const since_ms = sinceOf(Number(span) || 24, there_ms);
  useEffect(() => audit.want(since_ms, frame.now_ms));
  const { lines, whole, full, why } = audit.trail;
  const found = typed.trim() === "" ? lines : lines.filter((line) => finds(typed, textOf(line)));
  return (
    <>
      <div class="bar">
        <Search value={typed} what="people, methods, hosts, results" set={setTyped} />
        <SpanChoice spans={SPANS} span={span} set={setSpan} />
        <span>
          {countText(found.length, "record")}
          {full ? ` of the newest ${lines.length}` : ""}
          {why !== null ? `, and nothing newer is known: ${why}` : whole ? "" : ", asking for more …"}
        </span>
      </div>
      <ol class="events" aria-label="audit">
        {found
          .slice(-SHOWN)
          .reverse()
          .map((line) => (
            <Line key={line.at} line={line} />
          ))}
      </ol>
      {found.length > SHOWN ? <p class="quiet">and {found.length - SHOWN} more: search for them</p> : null}
      <p class="quiet">
        Whether a record is missing or was changed is told by <code>ctl audit --verify</code>, which asks the
        hosts themselves.
      </p>
    </>
  );
}

function Line({ line: { at, record, writer, stored_at, late_ms } }: { line: AuditLine }) {
  if (record === null)
    return (
      <li data-audit={at}>
        <time dateTime={new Date(stored_at).toISOString()}>{timeText(stored_at)}</time>
        <span>{writer.slice(0, 12)}</span>
        <State tint="red" word="unreadable" />
        <span>no record of the audit, or of a newer form</span>
      </li>
    );
  return (
    <li data-audit={at} data-what={record.what}>
      <time dateTime={new Date(record.at).toISOString()}>{timeText(record.at)}</time>
      <span>{record.host ?? writer.slice(0, 12)}</span>
      <State tint={auditFailed(record) ? "red" : "grey"} word={auditResult(record)} />
      <span>
        {auditWho(record)} <strong>{record.what}</strong> {auditTarget(record)}
        {late_ms === 0 ? "" : `, late by ${durationText(late_ms)}`}
      </span>
    </li>
  );
}

function textOf({ record, writer }: AuditLine): string {
  if (record === null) return writer;
  const { host, what, from, authority } = record;
  return [
    ...[host ?? writer, what, from, authority],
    ...[auditWho(record), auditResult(record), auditTarget(record)],
  ].join(" ");
}
