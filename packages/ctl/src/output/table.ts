/** Aligned columns. Pure: text out. Width counts what is seen, so that colours do not shift a column. */
export type Column<R> = {
  readonly title: string;
  readonly value: (row: R) => string;
  readonly align?: "right";
  /** Only with `-o wide`. */
  readonly wide?: true;
};

// biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character begins every colour.
const SGR = /\u001b\[[0-9;]*m/g;

// biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character begins every colour.
const PARTS = /\u001b\[[0-9;]*m|[\s\S]/gu;

/** Columns that text takes on a terminal, without colours. Combining marks take none, wide East Asian letters two. */
export function widthOf(text: string): number {
  // Nearly all of it is plain, and a table of a thousand rows is measured twice.
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let width = 0;
  for (const letter of text.replace(SGR, "")) {
    if (/\p{Mn}|\p{Me}|\p{Cf}/u.test(letter)) continue;
    width +=
      /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/u.test(
        letter,
      )
        ? 2
        : 1;
  }
  return width;
}

/** As much of a line as `width` columns hold, colours kept and ended; a line that was cut ends in `…`. */
export function clipped(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let left = width - 1;
  let out = "";
  let coloured = false;
  for (const part of text.match(PARTS) ?? []) {
    if (part.length > 1 && part.startsWith("\u001b")) {
      out += part;
      coloured = true;
      continue;
    }
    left -= widthOf(part);
    if (left < 0) break;
    out += part;
  }
  return width < 1 ? "" : `${out}…${coloured ? "\u001b[0m" : ""}`;
}

function pad(text: string, width: number, align: "right" | undefined): string {
  const blank = " ".repeat(Math.max(0, width - widthOf(text)));
  return align === "right" ? blank + text : text + blank;
}

/** Lines of a table, the titles first. A line break in a value becomes a space: one row is one line. */
export function tableLines<R>(rows: readonly R[], columns: readonly Column<R>[], wide = false): string[] {
  const shown = columns.filter((column) => wide || !column.wide);
  const cells = rows.map((row) => shown.map((column) => column.value(row).replaceAll(/\s*[\r\n]+\s*/g, " ")));
  const widths = shown.map((column, at) =>
    Math.max(widthOf(column.title), ...cells.map((row) => widthOf(row[at] ?? ""))),
  );
  return [shown.map((column) => column.title), ...cells].map((row) =>
    row
      .map((cell, at) => pad(cell, widths[at] ?? 0, shown[at]?.align))
      .join("  ")
      .trimEnd(),
  );
}
