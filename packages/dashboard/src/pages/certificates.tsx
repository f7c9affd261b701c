/** Every certificate of the fleet, those that end first on top: what Muster gave its hosts, and what the inventory lists by file or address. */
import type { CertificateRow } from "@muster/protocol/telemetry/certificates";
import { isBlind } from "@muster/protocol/telemetry/index";
import { timeText } from "@muster/protocol/time";
import { certificateWhere, verdictTint, verdictWord } from "@muster/view/collected";
import type { Judged } from "@muster/view/judge";
import { RANK, type Tint } from "@muster/view/status";
import { countText, durationText } from "@muster/view/words";
import { useEffect, useMemo, useState } from "preact/hooks";
import type { Frame } from "../live.ts";
import { Rows } from "../parts/rows.tsx";
import { finds, Search } from "../parts/search.tsx";
import { State } from "../parts/state.tsx";

type Row = {
  readonly host: string;
  readonly name: string;
  readonly tint: Tint;
  readonly word: string;
  /** Null: it could not be read. */
  readonly not_after: number | null;
  readonly where: string;
};

/** So often what is left is told anew. */
const AGAIN_MS = 10_000;

export function CertificatesPage({ frame }: { frame: Frame }) {
  const { samples, hosts, now_ms } = frame;
  const [typed, setTyped] = useState("");
  useEffect(() => samples.want("certificates", null, now_ms));
  const turn = Math.floor(now_ms / AGAIN_MS);
  const all = useMemo(() => rowsOf(frame), [turn, hosts.length, samples.lack("certificates", null).whole]);
  const rows = useMemo(
    () => all.filter(({ host, name, word, where }) => finds(typed, `${host} ${name} ${word} ${where}`)),
    [all, typed],
  );
  const { why } = samples.lack("certificates", null);
  const wrong = rows.filter(({ tint }) => tint !== "green").length;
  return (
    <>
      <div class="bar">
        <Search value={typed} what="hosts, certificates, states" set={setTyped} />
        <span>
          {countText(rows.length, "certificate")}
          {wrong === 0 ? "" : `, ${wrong} of them not well`}
        </span>
        {why === null ? null : (
          <span>only those that Muster gave its hosts: no controller answers ({why})</span>
        )}
      </div>
      <Rows
        label="certificates by their end"
        kind="certificates"
        rows={rows}
        titles={["host", "certificate", "left", "until", "where"]}
        keyOf={({ host, name, where }) => `${host} ${name} ${where}`}
        hrefOf={({ host }) => `#/host/${host}`}
        cells={({ host, name, tint, word, not_after, where }) => [
          host,
          name,
          <State key="left" tint={tint} word={word} />,
          not_after === null ? "-" : timeText(not_after),
          where,
        ]}
      />
    </>
  );
}

/** What is wrong first, whatever its date; then by their end. */
function rowsOf({ hosts, samples, now_ms }: Frame): Row[] {
  return hosts
    .flatMap((host) => {
      const kept = samples.of("certificates", host.known.name);
      if (kept === undefined || !kept.sample.present) return givenBy(host, now_ms);
      const blind =
        host.state === "silent" || isBlind({ kind: "certificates", heard_at: kept.heard_at }, now_ms);
      const rows = kept.sample.certificates.map((row) => collected(host.known.name, row, blind, now_ms));
      // One of its own that the collector does not tell of is there all the same.
      return [
        ...rows,
        ...givenBy(host, now_ms).filter(({ name }) => rows.every((each) => each.name !== name)),
      ];
    })
    .sort(
      (one, other) =>
        Number(RANK[one.tint] > 0) - Number(RANK[other.tint] > 0) ||
        (one.not_after ?? 0) - (other.not_after ?? 0) ||
        (one.host < other.host ? -1 : 1),
    );
}

const leftText = (not_after: number, now_ms: number) =>
  not_after <= now_ms ? `ended ${durationText(now_ms - not_after)} ago` : durationText(not_after - now_ms);

/** A date holds, whoever tells of it and whenever; that the certificate is still there and well is not known of one who says nothing. */
function collected(host: string, row: CertificateRow, blind: boolean, now_ms: number): Row {
  const { name, not_after, verdict, error } = row;
  const ended = not_after !== null && not_after <= now_ms;
  const dated = not_after !== null && ["ok", "ending", "ended"].includes(verdict);
  const words = [
    not_after === null ? "" : leftText(not_after, now_ms),
    dated ? "" : verdictWord(verdict),
    blind && !ended ? "as it last said" : "",
    error ?? "",
  ];
  return {
    ...{ host, name, not_after },
    where: certificateWhere(row),
    tint: ended ? "red" : blind ? "grey" : verdictTint(verdict),
    word: words.filter((each) => each !== "").join(", "),
  };
}

/** What every host says of its own, with or without a collector. */
function givenBy({ known, troubles }: Judged, now_ms: number): Row[] {
  return known.certificates.map(({ name, not_after }) => ({
    ...{ host: known.name, name, not_after, where: "given by Muster" },
    tint: troubles.some(({ about }) => about === `certificate/${name}`) ? "red" : "green",
    word: leftText(not_after, now_ms),
  }));
}
