/**
 * A host's other name in the text of hosts.yml: only the name itself changes, wherever the host is listed, so that comments, order and quotes stay. And
 * where else in the folder the old name stands, for a person to look at. Pure.
 */
import type { Place, Problems } from "./problem.ts";
import { type MapNode, readYaml, type YamlNode } from "./yaml.ts";

export type HostsText = {
  readonly text: string;
  /** In how many groups it is listed under the old name, and now under the new one. */
  readonly changed: number;
  /** Ranges that the old name comes from (`probe[01:20]`): only a person can take it out of one. */
  readonly ranges: readonly Place[];
  /** Whether the new name stands for a host or a group before. */
  readonly taken: boolean;
};

const RANGE = /\[[^\]]*\]/;

/** Renames a host in the text of `file`. Mistakes of the file are in `problems`; the text is then as it was. */
export function renameInHosts(
  file: string,
  text: string,
  { from, to }: { readonly from: string; readonly to: string },
  problems: Problems,
): HostsText {
  const found: Place[] = [];
  const ranges: Place[] = [];
  let taken = false;
  const group = (name: string, node: YamlNode): void => {
    if (name === to) taken = true;
    for (const [key, { value }] of mapOf(node)) {
      if (key === "children") for (const [child, entry] of mapOf(value)) group(child, entry.value);
      if (key !== "hosts") continue;
      for (const [host, { at }] of mapOf(value)) {
        if (host === from) found.push(at);
        else if (host === to) taken = true;
        else if (RANGE.test(host) && mayBe(host, from)) ranges.push(at);
      }
    }
  };
  const tree = readYaml(file, text, "ansible", problems);
  if (tree !== null) for (const [name, { value }] of mapOf(tree)) group(name, value);
  const lines = text.split("\n");
  // From the end of a line backwards, so that places stay true.
  for (const { line, column } of [...found].sort((one, other) => other.column - one.column)) {
    const before = lines[line - 1] ?? "";
    const at = before.indexOf(from, column - 1);
    if (at >= 0) lines[line - 1] = before.slice(0, at) + to + before.slice(at + from.length);
  }
  return { text: lines.join("\n"), changed: found.length, ranges, taken };
}

const mapOf = (node: YamlNode): MapNode["entries"] => (node.t === "map" ? node.entries : new Map());

/** Whether a pattern with ranges could stand for that name. */
function mayBe(pattern: string, name: string): boolean {
  const parts = pattern.split(RANGE).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join("[0-9a-z]+")}$`).test(name);
}

/** Where a name stands as a word of its own. */
export function mentionsOf(name: string, files: ReadonlyMap<string, string | null>): Place[] {
  const word = new RegExp(`(?<![A-Za-z0-9_-])${name}(?![A-Za-z0-9_-])`);
  const found: Place[] = [];
  for (const [file, text] of files) {
    if (text === null || file.endsWith(".lock")) continue;
    for (const [at, line] of text.split("\n").entries()) {
      const column = line.search(word);
      if (column >= 0) found.push({ file, line: at + 1, column: column + 1 });
    }
  }
  return found;
}
