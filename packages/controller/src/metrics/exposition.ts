/**
 * Families of values as the text that Prometheus reads: exposition format 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats). Our own: what
 * there is for Node keeps registries of single values, and held the controller for over a second at a thousand hosts where this takes a tenth.
 */

/** One metric: what it is, and its values; each has the words for `labels` in their order. */
export type Family = {
  readonly name: string;
  readonly help: string;
  readonly type: "gauge" | "counter";
  readonly labels: readonly string[];
  readonly values: readonly { readonly words: readonly string[]; readonly value: number }[];
};

export const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

const ESCAPES: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", '"': '\\"' };
const escaped = (text: string, what: RegExp) => text.replace(what, (char) => ESCAPES[char] ?? char);

/** The families as text, one after the other; a family without values is left out. */
export function expose(families: readonly Family[]): string {
  let text = "";
  for (const { values, ...metric } of families) {
    if (values.length === 0) continue;
    const rows = values.map(({ words, value }) => [words, value] as const);
    text += titleOf(metric) + new Lines(metric.name, metric.labels).of([], rows);
  }
  return text;
}

export const titleOf = ({ name, help, type }: Pick<Family, "name" | "help" | "type">): string =>
  `# HELP ${name} ${escaped(help, /[\\\n]/g)}\n# TYPE ${name} ${type}\n`;

/** The lines of one metric. A large fleet has hundreds of thousands: nothing is made for each but its text. */
export class Lines {
  readonly #name: string;
  /** What stands before the word of each label. */
  readonly #before: readonly string[];

  constructor(name: string, labels: readonly string[]) {
    this.#name = name;
    this.#before = labels.map((label, at) => `${at === 0 ? `${name}{` : '",'}${label}="`);
  }

  /**
   * `common`: the words of the first labels, the same in every line. Null has no line. Joined at once: a text that grows by `+=` is a tree of its pieces,
   * several times as large, until it is read.
   */
  of(
    common: readonly string[],
    rows: Iterable<readonly [words: readonly string[], value: number | null]>,
  ): string {
    const before = this.#before;
    const [start, end] = before.length === 0 ? [this.#name, " "] : ["", '"} '];
    const head = common.reduce((text, word, at) => text + before[at] + worded(word), start);
    const parts: (string | number)[] = [];
    for (const [words, value] of rows) {
      if (value === null) continue;
      parts.push(head);
      for (let at = common.length; at < before.length; at++)
        parts.push(before[at] ?? "", worded(words[at - common.length] ?? ""));
      parts.push(end, value, "\n");
    }
    return parts.join("");
  }
}

const SPECIAL = /[\\\n"]/;
const worded = (word: string) => (SPECIAL.test(word) ? escaped(word, /[\\\n"]/g) : word);
