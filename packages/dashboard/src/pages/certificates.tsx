/** Every certificate of the fleet, those that end first on top: what Muster gave its hosts, and what the inventory lists by file or address. */
import { timeText } from "@muster/protocol/time";
import { countText } from "@muster/view/words";
import { useEffect, useMemo, useState } from "preact/hooks";
import { certificateRows } from "../collected/certificate-rows.ts";
import type { Frame } from "../live.ts";
import { Rows } from "../parts/rows.tsx";
import { finds, Search } from "../parts/search.tsx";
import { State } from "../parts/state.tsx";

/** So often what is left is told anew. */
const AGAIN_MS = 10_000;

export function CertificatesPage({ frame }: { frame: Frame }) {
  const { samples, hosts, now_ms } = frame;
  const [typed, setTyped] = useState("");
  useEffect(() => samples.want("certificates", null, now_ms));
  const turn = Math.floor(now_ms / AGAIN_MS);
  const all = useMemo(
    () => certificateRows(frame),
    [turn, hosts.length, samples.lack("certificates", null).whole],
  );
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
