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

/** Edit distance with swaps of neighbours (optimal string alignment), cut off at `limit`. */
function distance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) > limit) return limit + 1;
  let older: number[] = [];
  let old: number[] = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let best = Math.min((old[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (old[j - 1] ?? 0) + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, (older[j - 2] ?? 0) + 1);
      row.push(best);
    }
    older = old;
    old = row;
  }
  return old[b.length] ?? limit + 1;
}

/** The candidate nearest to `word`, or null if none is near enough to be meant (a third of its length, at most 3 edits). */
export function nearest(word: string, candidates: Iterable<string>): string | null {
  const limit = Math.min(3, Math.max(1, Math.floor(word.length / 3)));
  let best: string | null = null;
  let least = limit + 1;
  for (const candidate of candidates) {
    const edits = distance(word.toLowerCase(), candidate.toLowerCase(), limit);
    if (edits < least && candidate !== word) {
      least = edits;
      best = candidate;
    }
  }
  return best;
}

/** `; did you mean X?`, or nothing: to be appended to a message. */
export function suggest(word: string, candidates: Iterable<string>): string {
  const found = nearest(word, candidates);
  return found === null ? "" : `; did you mean \`${found}\`?`;
}
