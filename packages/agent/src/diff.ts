/**
 * The unified difference of two texts, for plans, events and the log. From jsdiff by the path of the one function: its index costs 6 MB of
 * memory (Intl.Segmenter), this 0.6 MB.
 */
import { structuredPatch } from "diff/lib/patch/create.js";

export type TextDiff = {
  /** Hunks without a file header, cut at a limit; empty when the texts agree. */
  readonly text: string;
  readonly added: number;
  readonly removed: number;
};

const CONTEXT_LINES = 3;
/** Many diffs must fit into one message. */
const DIFF_CHARACTERS = 16_000;
/** Beyond that many changed lines the search takes seconds, and nobody reads it. */
const EDIT_LIMIT = 4_000;

/** @param hide is given every line of it, to take secrets out */
export function textDiff(
  before: string,
  after: string,
  hide: (line: string) => string = (line) => line,
): TextDiff {
  if (before === after) return { text: "", added: 0, removed: 0 };
  const options = { context: CONTEXT_LINES, maxEditLength: EDIT_LIMIT };
  const patch = structuredPatch("", "", before, after, undefined, undefined, options);
  if (patch === undefined) {
    const [added, removed] = [countLines(after), countLines(before)];
    return { text: `(nearly all of it differs: ${removed} lines become ${added})`, added, removed };
  }
  const lines: string[] = [];
  let [added, removed, length, cut] = [0, 0, 0, 0];
  for (const hunk of patch.hunks) {
    const head = `@@ -${range(hunk.oldStart, hunk.oldLines)} +${range(hunk.newStart, hunk.newLines)} @@`;
    for (const line of [head, ...hunk.lines]) {
      if (line !== head && line.startsWith("+")) added += 1;
      if (line !== head && line.startsWith("-")) removed += 1;
      const shown = line === head ? line : hide(line);
      length += shown.length + 1;
      if (length > DIFF_CHARACTERS) cut += 1;
      else lines.push(shown);
    }
  }
  if (cut > 0) lines.push(`(${cut} more lines)`);
  return { text: lines.join("\n"), added, removed };
}

/** `NAME +2 -1`. */
export function diffCounts(name: string, diff: TextDiff): string {
  return `${name} +${diff.added} -${diff.removed}`;
}

/** As diff(1) prints it: a range without lines begins before its place. */
const range = (start: number, lines: number) => `${lines === 0 ? start - 1 : start},${lines}`;

function countLines(text: string): number {
  if (text === "") return 0;
  return text.split("\n").length - (text.endsWith("\n") ? 1 : 0);
}
