/** Text that comes in pieces, as whole lines of bounded length. Pure. */

/** Gives the whole lines of what comes; a line longer than `limit` comes as its first part. */
export function lineSplitter(limit: number): (text: string) => string[] {
  let rest = "";
  let skipping = false;
  return (text) => {
    const parts = text.split("\n");
    const lines: string[] = [];
    for (const [at, part] of parts.entries()) {
      if (!skipping) rest += part;
      if (rest.length > limit) {
        rest = rest.slice(0, limit);
        skipping = true;
      }
      if (at === parts.length - 1) break;
      lines.push(rest);
      rest = "";
      skipping = false;
    }
    return lines;
  };
}
