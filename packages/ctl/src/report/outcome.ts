/** What became of a change, a line a host. Pure. */
import { hostWords } from "@muster/view/host-words";
import type { HostOutcome, Progress } from "../apply/outcome.ts";
import type { Colour } from "../output/colour.ts";
import { windowText } from "../output/words.ts";

type Words = {
  readonly word: string;
  readonly colour: "red" | "amber" | "green";
  readonly next: (name: string) => string;
};

const WORDS: Record<HostOutcome, Words> = {
  waiting: { word: "waiting for its turn", colour: "amber", next: () => "ctl apply --watch" },
  "under way": { word: "still under way", colour: "amber", next: () => "ctl apply --watch" },
  converged: { word: "converged", colour: "green", next: () => "" },
  undone: { word: "UNDONE", colour: "red", next: (name) => `ctl plan ${name}` },
  failed: { word: "FAILED", colour: "red", next: (name) => `ctl status ${name}` },
  refused: { word: "REFUSED", colour: "red", next: (name) => `ctl plan ${name}` },
  returned: { word: "RETURNED", colour: "red", next: (name) => `ctl plan ${name}` },
  silent: { word: "SILENT", colour: "red", next: (name) => `ctl status ${name}` },
  "not begun": { word: "not begun", colour: "amber", next: (name) => `ctl apply ${name}` },
};

/** `ixp1  UNDONE after 61 s: upstream imported 182,301, now 12 (guard: within 10 %)`, with the next command to type. */
export function outcomeLine(name: string, progress: Progress, colour: Colour): string {
  const { word, colour: tint, next } = WORDS[progress.outcome];
  const after =
    progress.after_ms > 0 && word !== "not begun" ? ` after ${windowText(progress.after_ms)}` : "";
  const detail = progress.detail === "" ? "" : `: ${hostWords(progress.detail)}`;
  const typed = next(name);
  return `${colour.bold(name)}  ${colour[tint](word)}${after}${detail}${typed === "" ? "" : `      ${typed}`}`;
}
