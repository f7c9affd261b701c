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

/** The families as text, one after the other; a family without values is left out. A large fleet has hundreds of thousands of lines: nothing is made for each but its text. */
export function expose(families: readonly Family[]): string {
  let text = "";
  for (const { name, help, type, labels, values } of families) {
    if (values.length === 0) continue;
    text += `# HELP ${name} ${escaped(help, /[\\\n]/g)}\n# TYPE ${name} ${type}\n`;
    if (labels.length === 0) {
      for (const { value } of values) text += `${name} ${value}\n`;
      continue;
    }
    const before = labels.map((label, at) => `${at === 0 ? `${name}{` : '",'}${label}="`);
    for (const { words, value } of values) {
      let line = "";
      for (let at = 0; at < before.length; at++) line += before[at] + worded(words[at] ?? "");
      text += `${line}"} ${value}\n`;
    }
  }
  return text;
}

const SPECIAL = /[\\\n"]/;
const worded = (word: string) => (SPECIAL.test(word) ? escaped(word, /[\\\n"]/g) : word);
