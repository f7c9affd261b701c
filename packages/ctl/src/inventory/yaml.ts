/**
 * YAML text → a tree in which every key and value knows its place. Two dialects: `ansible` resolves plain scalars as PyYAML does
 * (YAML 1.1: `yes` is true, 0644 is 420), for hosts.yml and variables; `strict` is YAML 1.2, for Muster's own files.
 * The library only finds the structure; scalars are resolved here, since its own YAML 1.1 differs from PyYAML (`y`, `01:20`).
 */
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  type Scalar,
  stringify,
} from "yaml";
import type { Place, Problems } from "./problem.ts";

export type Dialect = "ansible" | "strict";
export type ScalarValue = null | boolean | number | string;

export interface ScalarNode {
  readonly t: "scalar";
  readonly at: Place;
  readonly value: ScalarValue;
  /** True for a number that Python holds as a float. */
  readonly float: boolean;
  /** As written, without quotes. */
  readonly source: string;
  /** The value if it is text, else nothing; with `locate` this makes the node a template of its own. */
  readonly text: string;
  /** The place of a character of `value`, as near as quoting and folding allow. */
  readonly locate: (offset: number) => Place;
}

export interface ListNode {
  readonly t: "list";
  readonly at: Place;
  readonly items: readonly YamlNode[];
}

export interface Entry {
  readonly key: ScalarValue;
  readonly at: Place;
  readonly value: YamlNode;
}

export interface MapNode {
  readonly t: "map";
  readonly at: Place;
  /** By the key as written. */
  readonly entries: ReadonlyMap<string, Entry>;
}

export type YamlNode = ScalarNode | ListNode | MapNode;

/** Aliases multiply; a document that grows beyond this is an attack or a mistake. */
const MAX_NODES = 200_000;
/** An alias inside its own anchor never ends. */
const MAX_DEPTH = 100;

const ANSIBLE_BOOL = /^(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$/;
const ANSIBLE_INT =
  /^(?:[-+]?0b[01_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+)$/;
const ANSIBLE_FLOAT = /^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?)$/;
const STRICT_INT = /^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$/;
const STRICT_FLOAT = /^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$/;
const NULL = /^(?:~|null|Null|NULL|)$/;

function ansibleInteger(source: string): number {
  const text = source.replaceAll("_", "");
  const sign = text.startsWith("-") ? -1 : 1;
  const digits = text.replace(/^[-+]/, "");
  if (digits.includes(":")) return sign * digits.split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
  if (/^0[0-7]+$/.test(digits)) return sign * Number.parseInt(digits, 8);
  return sign * Number(digits);
}

function plain(source: string, dialect: Dialect): { value: ScalarValue; float: boolean } {
  const as = (value: ScalarValue, float = false) => ({ value, float });
  if (NULL.test(source)) return as(null);
  if (dialect === "ansible") {
    if (ANSIBLE_BOOL.test(source)) return as(/^(?:yes|true|on)$/i.test(source));
    if (ANSIBLE_INT.test(source)) return as(ansibleInteger(source));
    if (ANSIBLE_FLOAT.test(source)) return as(Number(source.replaceAll("_", "")), true);
    return as(source);
  }
  if (/^(?:true|True|TRUE|false|False|FALSE)$/.test(source)) return as(source.toLowerCase() === "true");
  if (STRICT_INT.test(source)) return as(Number(source.replace(/^\+/, "")));
  if (STRICT_FLOAT.test(source)) return as(Number(source), true);
  return as(source);
}

/** Reads one document. Problems of syntax, doubled keys and unknown tags are added; null if nothing can be read. */
export function readYaml(file: string, text: string, dialect: Dialect, problems: Problems): YamlNode | null {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    schema: "failsafe",
    uniqueKeys: false,
    lineCounter: lines,
    prettyErrors: false,
  });
  const reader = new Reader(file, text, dialect, problems, lines, document);
  for (const error of document.errors) {
    const several = error.code === "MULTIPLE_DOCS";
    const message = several
      ? "a second document begins here; one file holds one"
      : `not YAML: ${error.message}`;
    problems.add(reader.place(error.pos[0]), message);
  }
  if (document.errors.length > 0) return null;
  return reader.node(document.contents, 0);
}

class Reader {
  private readonly file: string;
  private readonly text: string;
  private readonly dialect: Dialect;
  private readonly problems: Problems;
  private readonly lines: LineCounter;
  private readonly document: Document.Parsed;
  private count = 0;
  private depth = 0;

  constructor(
    file: string,
    text: string,
    dialect: Dialect,
    problems: Problems,
    lines: LineCounter,
    document: Document.Parsed,
  ) {
    this.file = file;
    this.text = text;
    this.dialect = dialect;
    this.problems = problems;
    this.lines = lines;
    this.document = document;
  }

  place(offset: number): Place {
    const { line, col } = this.lines.linePos(offset);
    return { file: this.file, line: Math.max(1, line), column: Math.max(1, col) };
  }

  /** The tree below a library node; `offset` is where a node would stand that is not there. */
  node(of: unknown, offset: number): YamlNode {
    this.count += 1;
    if (this.count > MAX_NODES) {
      if (this.count === MAX_NODES + 1)
        this.problems.add(this.place(offset), `over ${MAX_NODES} values in one file`);
      return this.scalar(null, offset);
    }
    if (this.depth > MAX_DEPTH) {
      const message = `values are nested deeper than ${MAX_DEPTH}; an alias inside its own anchor?`;
      this.problems.add(this.place(offset), message);
      return this.scalar(null, offset);
    }
    this.depth += 1;
    const made = this.inner(of, offset);
    this.depth -= 1;
    return made;
  }

  private inner(of: unknown, offset: number): YamlNode {
    if (isAlias(of)) {
      const target = of.resolve(this.document);
      if (target !== undefined) return this.node(target, of.range?.[0] ?? offset);
      this.problems.add(this.place(of.range?.[0] ?? offset), `\`*${of.source}\` refers to no anchor`);
      return this.scalar(null, offset);
    }
    if (isMap(of)) return this.map(of.items, of.range?.[0] ?? offset);
    if (isSeq(of)) {
      const start = of.range?.[0] ?? offset;
      return { t: "list", at: this.place(start), items: of.items.map((item) => this.node(item, start)) };
    }
    return this.scalar(isScalar(of) ? of : null, offset);
  }

  private scalar(of: Scalar | null, offset: number): ScalarNode {
    const start = of?.range?.[0] ?? offset;
    const at = this.place(start);
    const source = typeof of?.value === "string" ? of.value : "";
    const isPlain = of === null || of.type === "PLAIN" || of.type === undefined;
    const tag = of?.tag?.replace("tag:yaml.org,2002:", "!!");
    let resolved = isPlain && tag !== "!!str" ? plain(source, this.dialect) : { value: source, float: false };
    if (tag === "!vault") {
      const hint = "put the value into Vault and write vault:<mount>/<path>#<field>";
      this.problems.add(at, "a value encrypted with ansible-vault cannot be read here", hint);
    } else if (
      tag !== undefined &&
      !["!!str", "!unsafe", "!", "!!null", "!!int", "!!bool", "!!float"].includes(tag)
    )
      this.problems.add(at, `unknown tag \`${tag}\``);
    if (typeof resolved.value === "number" && !resolved.float && !Number.isSafeInteger(resolved.value)) {
      this.problems.add(at, `the number ${source} is too large to be kept exactly`, `quote it: "${source}"`);
      resolved = { value: source, float: false };
    }
    const text = typeof resolved.value === "string" ? resolved.value : "";
    return {
      t: "scalar",
      at,
      ...resolved,
      source,
      text,
      locate: (inside) => this.inside(of, start, source, inside),
    };
  }

  private inside(of: Scalar | null, start: number, value: string, offset: number): Place {
    if (of?.type === "BLOCK_LITERAL") {
      const line = this.lines.linePos(start).line + value.slice(0, offset).split("\n").length;
      const from = this.lines.lineStarts[line - 1];
      const first = this.text
        .slice(start)
        .split("\n")
        .slice(1)
        .find((each) => each.trim() !== "");
      const indent = /^ */.exec(first ?? "")?.[0].length ?? 0;
      if (from !== undefined)
        return { file: this.file, line, column: indent + offset - value.lastIndexOf("\n", offset - 1) };
    }
    const quote = of?.type === "QUOTE_DOUBLE" || of?.type === "QUOTE_SINGLE" ? 1 : 0;
    const same = this.text.startsWith(value, start + quote);
    return this.place(same ? start + quote + offset : start);
  }

  private map(items: readonly { key: unknown; value: unknown }[], start: number): MapNode {
    const entries = new Map<string, Entry>();
    const merged: MapNode[] = [];
    for (const pair of items) {
      if (this.count > MAX_NODES) break;
      const key = this.node(pair.key, start);
      if (key.t !== "scalar") {
        this.problems.add(key.at, "a key must be a single value, not a list or map");
        continue;
      }
      const end = isScalar(pair.key) ? (pair.key.range?.[0] ?? start) : start;
      const value = this.node(pair.value, end);
      if (key.source === "<<" && this.dialect === "ansible") {
        for (const part of value.t === "list" ? value.items : [value])
          if (part.t === "map") merged.push(part);
        continue;
      }
      const earlier = entries.get(key.source);
      if (earlier !== undefined) {
        const { line, column } = earlier.at;
        this.problems.add(
          key.at,
          `\`${key.source}\` stands here a second time; the first is at line ${line}, column ${column}`,
        );
      }
      entries.set(key.source, { key: key.value, at: key.at, value });
    }
    for (const map of merged)
      for (const [name, entry] of map.entries) if (!entries.has(name)) entries.set(name, entry);
    return { t: "map", at: this.place(start), entries };
  }
}

/** What a node is, for messages: `a list`, `the text "x"`, `true`. */
export function nodeText(node: YamlNode): string {
  if (node.t !== "scalar") return node.t === "list" ? "a list" : "a map";
  if (node.value === null) return "nothing";
  // A log-in within an address may be a password, and an error goes into the log of a CI.
  const source = node.source.replace(/(https?:[\\/]*)[^\s/@]*@/gi, "$1…@");
  const shown = source.length > 60 ? `${source.slice(0, 57)}…` : source;
  return typeof node.value === "string" ? `the text "${shown}"` : `\`${shown}\``;
}

/** True if two trees mean the same. */
export function sameNode(a: YamlNode, b: YamlNode): boolean {
  if (a.t === "scalar" && b.t === "scalar") return a.value === b.value;
  if (a.t === "list" && b.t === "list")
    return (
      a.items.length === b.items.length && a.items.every((item, i) => sameNode(item, b.items[i] ?? item))
    );
  if (a.t !== "map" || b.t !== "map" || a.entries.size !== b.entries.size) return false;
  return [...a.entries].every(([key, { value }]) => {
    const other = b.entries.get(key);
    return other !== undefined && sameNode(value, other.value);
  });
}

/** A plain value as YAML 1.2, ended by a line break: what JSON can hold, long texts as blocks, nothing folded. */
export const yamlText = (value: unknown): string =>
  stringify(JSON.parse(JSON.stringify(value)) as unknown, { lineWidth: 0, aliasDuplicateObjects: false });
