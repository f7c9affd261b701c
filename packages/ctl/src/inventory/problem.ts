/**
 * What is wrong with a fleet folder, as data: one problem has a place, the offending value and what would be right. A run
 * collects all of them, so that nobody fixes a folder one error a run.
 */
export interface Place {
  /** Path relative to the fleet folder, with `/`. */
  readonly file: string;
  /** Both count from 1; a problem of a whole file stands at 1:1. */
  readonly line: number;
  readonly column: number;
}

export interface Problem extends Place {
  readonly message: string;
  /** What would be right, if that can be said. */
  readonly hint?: string;
}

/** A listing longer than this helps nobody; the rest is counted. */
const MAX_PROBLEMS = 500;

/** Collects the problems of one run; the same problem at the same place counts once. */
export class Problems {
  private readonly found = new Map<string, Problem>();
  private dropped = 0;

  add(place: Place, message: string, hint?: string): void {
    const { file, line, column } = place;
    const key = `${file}:${line}:${column}:${message}`;
    if (this.found.has(key)) return;
    if (this.found.size >= MAX_PROBLEMS) this.dropped += 1;
    else this.found.set(key, { file, line, column, message, ...(hint === undefined ? {} : { hint }) });
  }

  get size(): number {
    return this.found.size;
  }

  /** All problems, by file, line and column. */
  list(): Problem[] {
    const compare = (a: Problem, b: Problem) =>
      (a.file < b.file ? -1 : a.file > b.file ? 1 : 0) || a.line - b.line || a.column - b.column;
    const all = [...this.found.values()].sort(compare);
    const more = `${this.dropped} more problems are not listed`;
    return this.dropped === 0 ? all : [...all, { file: "muster.yml", line: 1, column: 1, message: more }];
  }
}

/** `file:line:column`, the form that editors and terminals turn into a link. */
export function placeText(place: Place): string {
  return `${place.file}:${place.line}:${place.column}`;
}

/** One problem as one or two lines of text. */
export function problemText(problem: Problem): string {
  return `${placeText(problem)}: ${problem.message}${problem.hint === undefined ? "" : `\n    ${problem.hint}`}`;
}

export { nearest, suggest } from "@muster/protocol/suggest";
