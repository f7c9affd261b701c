/** An event as one line, and its difference below it. Pure. */
import type { HostEvent } from "@muster/view/model";
import type { Colour } from "../output/colour.ts";
import { durationText } from "../output/words.ts";
import { diffLines } from "./plan.ts";

/** `2026-11-21 03:12:07  ixp1  session  upstream is down: …  (alice)`; host `_` is the fleet. What happened on a drained host, and what was told late, is marked so. */
export function eventLines({ host, event, late_ms }: HostEvent, colour: Colour): string[] {
  const at = new Date(event.at).toISOString().slice(0, 19).replace("T", " ");
  const paint = { info: (text: string) => text, warning: colour.amber, error: colour.red }[event.severity];
  const by = event.by === undefined ? "" : `  (${event.by})`;
  const name = host === "_" ? "fleet" : host;
  const drained = event.drained === true ? colour.dim(" (drained)") : "";
  const late = late_ms === undefined ? "" : colour.dim(`  (told ${durationText(late_ms)} later)`);
  return [
    `${colour.dim(at)}  ${colour.bold(name)}${drained}  ${event.kind}  ${paint(event.what.replaceAll("\n", " "))}${by}${late}`,
    ...diffLines(event.diff ?? "", colour),
  ];
}
