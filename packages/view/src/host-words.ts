/** What a host says of itself, made fit for a line. Pure. */

/** A host's own words in one line, without the state that the line begins with anyway. */
export function hostWords(detail: string): string {
  return detail
    .replace(/^(undone|failed|refused): /, "")
    .replace(/\b(it was taken back: )?undone after \d+ s: |\bit was taken back: /, "")
    .replaceAll("\n", " ");
}
