/** Pieces of output to whole lines, so that those of several hosts do not run into each other. */

/** A line longer than this is broken: it may never end. */
const LINE_LIMIT = 64 * 1024;

export function lineBreaker(print: (line: string) => void): { take(text: string): void; end(): void } {
  let rest = "";
  return {
    take(text) {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) print(line);
      if (rest.length > LINE_LIMIT) this.end();
    },
    end() {
      if (rest !== "") print(rest);
      rest = "";
    },
  };
}
