/**
 * Counters in Prometheus' text form, and what they did within a window. A counter that falls began anew; bursts need the whole window, so that of a few minutes
 * nothing is concluded.
 */

/**
 * The sum of all series of that name which have all the labels asked for; null when there is none.
 * `text` is exposition format 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats); a line `NAME VALUE` is all that it needs.
 */
export function counterIn(text: string, series: string): number | null {
  const [, name = "", labels = ""] = /^([^{]+)(?:\{(.*)\})?$/.exec(series) ?? [];
  const wanted = pairs(labels);
  let sum: number | null = null;
  for (let at = text.indexOf(name); at !== -1; at = text.indexOf(name, at + name.length)) {
    if (at > 0 && text[at - 1] !== "\n") continue;
    const end = text.indexOf("\n", at);
    const line = text.slice(at, end === -1 ? undefined : end);
    const [, own = "", has = "", value = ""] = LINE.exec(line) ?? [];
    if (own !== name) continue;
    const found = pairs(has);
    if (![...wanted].every(([label, word]) => found.get(label) === word)) continue;
    const count = Number(value);
    if (Number.isFinite(count)) sum = (sum ?? 0) + count;
  }
  return sum;
}

const LINE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?\s*$/;

function pairs(labels: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const [, label = "", word = ""] of labels.matchAll(/([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"/g))
    found.set(
      label,
      word.replace(/\\(.)/g, (_, char: string) => (char === "n" ? "\n" : char)),
    );
  return found;
}

export type Counts = { readonly sent: number; readonly received: number; readonly accepted: number | null };
/** What was counted between two readings, and how long that was. */
export type Rise = Counts & { readonly over_ms: number };

type Point = { readonly at: number; readonly raised: Counts };

/** Readings of a window are thinned to so many. */
const POINTS = 120;

export class CounterWindow {
  readonly #window_ms: number;
  #points: Point[] = [];
  #last: Counts | null = null;

  constructor(window_ms: number) {
    this.#window_ms = window_ms;
  }

  /** Takes a reading. A clock that was set back begins anew. */
  add(at: number, counts: Counts): void {
    const before = this.#points.at(-1);
    if (before !== undefined && at < before.at) {
      this.#points = [];
      this.#last = null;
    }
    const base = this.#points.at(-1)?.raised ?? { sent: 0, received: 0, accepted: 0 };
    const was = this.#last;
    const raised = {
      sent: base.sent + rise(was?.sent, counts.sent),
      received: base.received + rise(was?.received, counts.received),
      accepted: (base.accepted ?? 0) + rise(was?.accepted ?? undefined, counts.accepted ?? 0),
    };
    this.#last = counts;
    // The newest is always kept; it takes the place of one that is too near to the one before.
    const previous = this.#points.at(-2);
    if (previous !== undefined && at - previous.at < this.#window_ms / POINTS) this.#points.pop();
    this.#points.push({ at, raised });
    const from = at - this.#window_ms;
    while ((this.#points[1]?.at ?? at) <= from) this.#points.shift();
  }

  /** Between now and `span_ms` ago, or as far as it is known. */
  over(span_ms: number): Rise {
    const last = this.#points.at(-1);
    if (last === undefined) return { sent: 0, received: 0, accepted: 0, over_ms: 0 };
    const first = this.#points.findLast(({ at }) => at <= last.at - span_ms) ?? this.#points[0] ?? last;
    return {
      sent: last.raised.sent - first.raised.sent,
      received: last.raised.received - first.raised.received,
      accepted: (last.raised.accepted ?? 0) - (first.raised.accepted ?? 0),
      over_ms: last.at - first.at,
    };
  }
}

const rise = (was: number | undefined, now: number) => (was === undefined ? 0 : now < was ? now : now - was);
