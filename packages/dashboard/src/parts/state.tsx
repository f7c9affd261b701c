/** A state at a glance: a sign, a word and a colour, so that colour is never the only one. */
import type { Tint } from "@muster/view/status";

const SIGNS: Record<Tint, string> = { red: "✖", amber: "▲", green: "●", grey: "○" };

export function State({ tint, word }: { tint: Tint; word: string }) {
  return (
    <span class={`state ${tint}`} data-tint={tint}>
      <span aria-hidden="true">{SIGNS[tint]}</span> {word}
    </span>
  );
}
