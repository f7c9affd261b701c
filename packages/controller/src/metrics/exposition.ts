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
  for (const { name, help, type, labels, values } of families) {
    if (values.length === 0) continue;
    text += `# HELP ${name} ${escaped(help, /[\\\n]/g)}\n# TYPE ${name} ${type}\n`;
    for (const { words, value } of values) {
      const pairs = labels.map((label, at) => `${label}="${escaped(words[at] ?? "", /[\\\n"]/g)}"`);
      text += pairs.length === 0 ? `${name} ${value}\n` : `${name}{${pairs.join(",")}} ${value}\n`;
    }
  }
  return text;
}
