/** The text of a selector or condition → its tree. The grammar stands in ctl's `inventory/selectors.ts`. Pure. */
import { FUNCTIONS, type Over, windowMs } from "./window.ts";

export const FACT = "fact.";

/** Longest first, so that `<=` is not read as `<`. */
export const OPERATORS = ["!=", "<=", ">=", "=", "<", ">"] as const;
export type Operator = (typeof OPERATORS)[number];

/** `at` is the column, from 1. */
export type Word = {
  readonly t: "word";
  readonly word: string;
  readonly quoted: boolean;
  readonly at: number;
};
export type Pair = {
  readonly t: "pair";
  readonly key: string;
  readonly operator: Operator;
  readonly value: string;
  readonly at: number;
  /** What it is divided by: `memory.available_bytes/memory.total_bytes`. */
  readonly by?: string;
  /** What it did over a time, instead of what it is. */
  readonly over?: Over;
};
/** `bgp.sessions(state!=established)`: something in a list of last values for which that holds. */
export type Some = { readonly t: "some"; readonly key: string; readonly of: Node; readonly at: number };
export type Node =
  | Word
  | Pair
  | Some
  | { readonly t: "not"; readonly of: Node }
  | { readonly t: "and" | "or"; readonly of: readonly Node[] };

/** A mistake in a selector, told with its column unless the selector is but one word. */
export class SelectorFault extends Error {
  constructor(message: string, at: number | null) {
    super(at === null ? message : `column ${at} of the selector: ${message}`);
  }
}

/** Deeper than a person nests. */
const MAX_DEPTH = 50;
const MAX_LENGTH = 4_096;

type Token = {
  readonly t: "word" | "quoted" | "operator" | "," | "(" | ")" | "end";
  readonly text: string;
  readonly at: number;
};

const WORD = /[^\s,()'"=<>!]+|!(?!=)/y;

function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  const add = (t: Token["t"], from: string, length: number): void => {
    tokens.push({ t, text: from, at: at + 1 });
    at += length;
  };
  while (at < text.length) {
    const letter = text[at] ?? "";
    const operator = OPERATORS.find((each) => text.startsWith(each, at));
    WORD.lastIndex = at;
    const word = WORD.exec(text)?.[0];
    if (/\s/.test(letter)) at += 1;
    else if (letter === "," || letter === "(" || letter === ")") add(letter, letter, 1);
    else if (letter === "'" || letter === '"') {
      const end = text.indexOf(letter, at + 1);
      if (end < 0) throw new SelectorFault(`this ${letter} is not closed`, at + 1);
      add("quoted", text.slice(at + 1, end), end + 1 - at);
    } else if (operator !== undefined) add("operator", operator, operator.length);
    else if (word !== undefined) add("word", word, word.length);
    else throw new SelectorFault(`\`${letter}\` means nothing here`, at + 1);
  }
  add("end", "", 0);
  return tokens;
}

const KEYWORDS = ["and", "or", "not"];
const isWord = (token: Token, word: string): boolean => token.t === "word" && token.text === word;

/** Errors: SelectorFault with the column and what would be right. */
export function parseSelector(text: string): Node {
  if (text.length > MAX_LENGTH)
    throw new SelectorFault(`the selector has ${text.length} letters; the limit is ${MAX_LENGTH}`, null);
  // Commas with nothing between them come from lists that programs put together.
  const tokens = tokensOf(text);
  const end: Token = { t: "end", text: "", at: text.length + 1 };
  let next = 0;
  const peek = (): Token => tokens[next] ?? end;
  const skipCommas = (): boolean => {
    const from = next;
    while (peek().t === ",") next += 1;
    return next > from;
  };

  const either = (depth: number): Node => {
    if (depth > MAX_DEPTH) throw new SelectorFault("nested too deeply", peek().at);
    skipCommas();
    const of = [both(depth)];
    for (;;) {
      if (isWord(peek(), "or")) next += 1;
      else if (!skipCommas()) break;
      else if (peek().t === "end" || peek().t === ")") break;
      of.push(both(depth));
    }
    return of.length === 1 ? (of[0] as Node) : { t: "or", of };
  };
  const both = (depth: number): Node => {
    const of = [negated(depth)];
    while (isWord(peek(), "and")) {
      next += 1;
      of.push(negated(depth));
    }
    return of.length === 1 ? (of[0] as Node) : { t: "and", of };
  };
  const negated = (depth: number): Node => {
    if (!isWord(peek(), "not")) return term(depth);
    next += 1;
    if (depth > MAX_DEPTH) throw new SelectorFault("nested too deeply", peek().at);
    return { t: "not", of: negated(depth + 1) };
  };
  const inner = (open: Token, depth: number): Node => {
    next += 1;
    const node = either(depth + 1);
    const close = peek();
    if (close.t !== ")")
      throw new SelectorFault(
        `expected ${close.t === "end" ? "" : "`and`, `or`, a comma or "}the ) of column ${open.at}, found ${told(close)}`,
        close.at,
      );
    next += 1;
    return node;
  };
  const term = (depth: number): Node => {
    const token = peek();
    if (token.t === "(") return inner(token, depth);
    if (token.t !== "quoted" && (token.t !== "word" || KEYWORDS.includes(token.text)))
      throw new SelectorFault(
        `expected a host, group, pattern, label=value or fact.name=value, found ${told(token)}`,
        token.at,
      );
    next += 1;
    const operator = peek();
    const joined = operator.at === token.at + token.text.length;
    if (token.t === "word" && operator.t === "(" && joined) {
      const fn = FUNCTIONS.find((each) => each === token.text);
      if (fn !== undefined) return compared(token.at, overTime(fn));
      return { t: "some", key: token.text, of: inner(operator, depth), at: token.at };
    }
    const ratio = token.t === "word" ? divided(token) : null;
    if (ratio !== null) return compared(token.at, ratio);
    if (operator.t !== "operator")
      return { t: "word", word: token.text, quoted: token.t === "quoted", at: token.at };
    return compared(token.at, { key: token.text });
  };
  const compared = (at: number, left: Pick<Pair, "key" | "by" | "over">): Pair => {
    const operator = peek();
    if (operator.t !== "operator")
      throw new SelectorFault(`expected a comparison, such as > 5, found ${told(operator)}`, operator.at);
    next += 1;
    return { t: "pair", ...left, operator: operator.text as Operator, value: value(operator), at };
  };
  /** `a/b` or `a / b` before a comparison; null for any other word. */
  const divided = (token: Token): Pick<Pair, "key" | "by"> | null => {
    let whole = token.text;
    const sign = peek();
    if (sign.t === "word" && sign.text === "/") {
      next += 1;
      const by = peek();
      if (by.t !== "word")
        throw new SelectorFault(`expected what it is divided by, found ${told(by)}`, by.at);
      next += 1;
      whole = `${token.text}/${by.text}`;
    } else if (sign.t !== "operator") return null;
    const [key = "", by, ...more] = whole.split("/");
    if (by === undefined) return null;
    if (key === "" || by === "" || more.length > 0)
      throw new SelectorFault("one number can be divided by one other: a/b", token.at);
    return { key, by };
  };
  /** What stands in the parentheses of `rate(health.interfaces.rx_errors, 5m)`. */
  const overTime = (fn: Over["fn"]): Pick<Pair, "key" | "over"> => {
    const form = `${fn}(health.interfaces.rx_errors, 5m)`;
    next += 1;
    const key = peek();
    if (key.t !== "word")
      throw new SelectorFault(`expected a number, as in ${form}, found ${told(key)}`, key.at);
    next += 1;
    const comma = peek();
    if (comma.t !== ",")
      throw new SelectorFault(`expected over which time, as in ${form}, found ${told(comma)}`, comma.at);
    next += 1;
    const window = peek();
    const window_ms = window.t === "word" ? windowMs(window.text) : null;
    if (window_ms === null)
      throw new SelectorFault(
        `expected a time from 1m to 2d, as in ${form}, found ${told(window)}`,
        window.at,
      );
    next += 1;
    const close = peek();
    if (close.t !== ")") throw new SelectorFault(`expected ), as in ${form}, found ${told(close)}`, close.at);
    next += 1;
    return { key: key.text, over: { fn, window_ms } };
  };
  /** One in quotes, or words up to the next operator: `fact.os=Debian 12*` needs no quotes inside the shell's. */
  const value = (operator: Token): string => {
    const first = peek();
    if (first.t === "quoted") {
      next += 1;
      return first.text;
    }
    let [from, to] = [first.at - 1, first.at - 1];
    while (peek().t === "word" && !KEYWORDS.includes(peek().text)) {
      to = peek().at - 1 + peek().text.length;
      next += 1;
    }
    if (to === from)
      throw new SelectorFault(`expected a value after ${operator.text}, found ${told(first)}`, first.at);
    return text.slice(from, to);
  };

  if (tokens.every(({ t }) => t === "," || t === "end"))
    throw new SelectorFault("the selector is empty; `all` means every host", null);
  const node = either(0);
  const rest = peek();
  if (rest.t !== "end")
    throw new SelectorFault(`expected \`and\`, \`or\` or a comma, found ${told(rest)}`, rest.at);
  return node;
}

const told = (token: Token): string => (token.t === "end" ? "the end" : `\`${token.text}\``);

/** Names of labels have no dots. */
export const isOfValues = (leaf: Word | Pair | Some): leaf is Pair | Some =>
  leaf.t !== "word" && (leaf.key.includes(".") || isCounted(leaf)) && !leaf.key.startsWith(FACT);
const isCounted = (leaf: Pair | Some) =>
  leaf.t === "pair" && (leaf.by !== undefined || leaf.over !== undefined);

/** A tree judged by its leaves; undefined = what is not known of them would have to be. */
export function judged(
  node: Node,
  leaf: (leaf: Word | Pair | Some) => boolean | undefined,
): boolean | undefined {
  if (node.t === "not") {
    const inner = judged(node.of, leaf);
    return inner === undefined ? undefined : !inner;
  }
  if (node.t === "word" || node.t === "pair" || node.t === "some") return leaf(node);
  const decides = node.t === "or";
  const each = node.of.map((of) => judged(of, leaf));
  if (each.includes(decides)) return decides;
  return each.includes(undefined) ? undefined : !decides;
}

/** As it was typed, in its plainest form. */
export function leafText(leaf: Pair | Some): string {
  if (leaf.t === "some") return leaf.key;
  if (leaf.over !== undefined) return `${leaf.over.fn}(${leaf.key}, ${spanText(leaf.over.window_ms)})`;
  return leaf.by === undefined ? leaf.key : `${leaf.key}/${leaf.by}`;
}

function spanText(ms: number): string {
  for (const [unit, of] of [
    ["d", 86_400_000],
    ["h", 3_600_000],
    ["m", 60_000],
  ] as const)
    if (ms % of === 0) return `${ms / of}${unit}`;
  return `${ms / 1_000}s`;
}

export function leaves(node: Node): (Word | Pair | Some)[] {
  if (node.t === "word" || node.t === "pair" || node.t === "some") return [node];
  return node.t === "not" ? leaves(node.of) : node.of.flatMap(leaves);
}
