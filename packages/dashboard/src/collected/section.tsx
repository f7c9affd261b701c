/** One kind of what a host's collectors tell, under its heading. Nothing of before is shown as if it were so now. */
import { type FaultyKind, isBlind, type Sample } from "@muster/protocol/telemetry/index";
import { verdictTint, verdictWord } from "@muster/view/collected";
import type { Judged } from "@muster/view/judge";
import { durationText } from "@muster/view/words";
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import type { Frame } from "../live.ts";
import { State } from "../parts/state.tsx";

export type OfHost = { readonly frame: Frame; readonly row: Judged };

type SectionProps<K extends FaultyKind> = OfHost & {
  readonly kind: K;
  /** What people call it. */
  readonly title: string;
  readonly heading: (sample: Sample<K>, there_ms: number) => string;
  /** `there_ms`: now by the host's own clock. */
  readonly children: (sample: Sample<K>, there_ms: number) => ComponentChildren;
};

/** A kind that the host has nothing of has no section. */
export function Section<K extends FaultyKind>(props: SectionProps<K>) {
  const { frame, row, kind, title, heading, children } = props;
  const { samples, now_ms } = frame;
  const { name, clock_skew_ms } = row.known;
  useEffect(() => samples.want(kind, name, now_ms));
  const kept = samples.of(kind, name);
  const { why } = samples.lack(kind, name);
  if (kept === undefined)
    return why === null ? null : <Untold title={title} words={`not known: no controller answers (${why})`} />;
  if (!kept.sample.present) return null;
  if (row.state === "silent") return <Untold title={title} words="not known while it is silent" />;
  const there_ms = now_ms + clock_skew_ms;
  const blind = isBlind({ kind, heard_at: kept.heard_at }, now_ms);
  return (
    <section data-kind={kind}>
      <h2>{heading(kept.sample, there_ms)}</h2>
      {blind ? (
        <p>
          <State tint="red" word={`its last word on this is ${durationText(now_ms - kept.heard_at)} old`} />:
          this is as of then
        </p>
      ) : null}
      <div class={blind ? "old" : ""}>{children(kept.sample, there_ms)}</div>
    </section>
  );
}

function Untold({ title, words }: { title: string; words: string }) {
  return (
    <section>
      <h2>{title}</h2>
      <p>{words}</p>
    </section>
  );
}

export const Verdict = ({ verdict }: { verdict: string }) => (
  <State tint={verdictTint(verdict)} word={verdictWord(verdict)} />
);
