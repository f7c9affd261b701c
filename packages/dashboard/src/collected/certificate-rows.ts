/** Every certificate of the fleet as a row: what is wrong first, then by their end. Pure. */
import type { CertificateRow } from "@muster/protocol/telemetry/certificates";
import { isBlind } from "@muster/protocol/telemetry/index";
import { certificateWhere, verdictTint, verdictWord } from "@muster/view/collected";
import type { Judged } from "@muster/view/judge";
import { RANK, type Tint } from "@muster/view/status";
import { durationText } from "@muster/view/words";
import type { Frame } from "../live.ts";

type Row = {
  readonly host: string;
  readonly name: string;
  readonly tint: Tint;
  readonly word: string;
  /** Null: it could not be read. */
  readonly not_after: number | null;
  readonly where: string;
};

/** What is wrong first, whatever its date; then by their end. */
export function certificateRows({
  hosts,
  samples,
  now_ms,
}: Pick<Frame, "hosts" | "samples" | "now_ms">): Row[] {
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
function givenBy({ known, state, troubles }: Judged, now_ms: number): Row[] {
  const blind = state === "silent";
  return known.certificates.map(({ name, not_after }) => {
    // Of a silent host nothing but its silence is a trouble: the date holds all the same.
    const wrong = not_after <= now_ms || troubles.some(({ about }) => about === `certificate/${name}`);
    const left = leftText(not_after, now_ms);
    return {
      ...{ host: known.name, name, not_after, where: "given by Muster" },
      tint: wrong ? "red" : blind ? "grey" : "green",
      word: blind && not_after > now_ms ? `${left}, as it last said` : left,
    };
  });
}
