/**
 * Template text → tokens, with the whitespace rules that Ansible's `template` module uses: `trim_blocks` on (the first newline
 * after a block or comment goes), `lstrip_blocks` off, `-` and `+` signs as in Jinja2. The rules follow `jinja2/lexer.py` 3.1
 * (BSD-3-Clause, read for its behaviour), among them the odd ones: `{% raw %}` does not trim, brackets hide an end mark.
 */
import { TemplateError } from "./value.ts";

export interface Token {
  readonly type: "data" | "begin" | "end" | "name" | "string" | "int" | "float" | "op" | "eof";
  /** Decoded text of a string; for begin and end `{{`, `{%`, `}}`, `%}`. */
  readonly value: string;
  readonly pos: number;
}

const RAW_BEGIN = /\{%[-+]?\s*raw\s*(?:-%\}\s*|%\})/y;
const RAW_END = /\{%([-+]?)\s*endraw\s*(?:\+%\}|-%\}\s*|%\}\n?)/g;
const COMMENT_END = /\+#\}|-#\}\s*|#\}\n?/g;
const BLOCK_END = /\+%\}|-%\}\s*|%\}\n?/y;
const VARIABLE_END = /-\}\}\s*|\}\}/y;
const SPACE = /\s+/y;
const FLOAT = /(?<!\.)(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/iy;
const INTEGER = /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iy;
const NAME = /[\p{L}_][\p{L}\p{N}_]*/uy;
const STRING = /'(?:[^'\\]*(?:\\[\s\S][^'\\]*)*)'|"(?:[^"\\]*(?:\\[\s\S][^"\\]*)*)"/y;
const OPERATOR = /\/\/|\*\*|==|!=|>=|<=|[-+/*%~[\](){}<>=.:|,;]/y;
const ESCAPES: Record<string, string> = {
  n: "\n",
  t: "\t",
  r: "\r",
  a: "\x07",
  b: "\b",
  f: "\f",
  v: "\v",
  "\n": "",
};

function match(pattern: RegExp, text: string, pos: number): string | null {
  pattern.lastIndex = pos;
  return pattern.exec(text)?.[0] ?? null;
}

function unescaped(body: string): string {
  return body.replace(/\\(x[\da-fA-F]{2}|u[\da-fA-F]{4}|[0-7]{1,3}|[\s\S])/g, (whole, letters: string) => {
    if (/^[xu]./.test(letters)) return String.fromCharCode(Number.parseInt(letters.slice(1), 16));
    if (/^[0-7]/.test(letters)) return String.fromCharCode(Number.parseInt(letters, 8));
    if (letters === "\\" || letters === "'" || letters === '"') return letters;
    return ESCAPES[letters] ?? whole;
  });
}

/**
 * Tokens of a template whose newlines are `\n` already.
 *
 * @throws TemplateError with the offset, for an open comment, string, bracket or tag
 */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  const data = (from: number, to: number, strip: boolean) => {
    const piece = text.slice(from, to);
    const value = strip ? piece.trimEnd() : piece;
    if (value !== "") tokens.push({ type: "data", value, pos: from });
  };
  const start = /\{[%{#]/g;
  let pos = 0;
  while (pos < text.length) {
    start.lastIndex = pos;
    const found = start.exec(text);
    if (found === null) {
      data(pos, text.length, false);
      break;
    }
    const at = found.index;
    const sign = text[at + 2];
    data(pos, at, sign === "-");
    const raw = found[0] === "{%" ? match(RAW_BEGIN, text, at) : null;
    if (raw !== null) {
      RAW_END.lastIndex = at + raw.length;
      const end = RAW_END.exec(text);
      if (end === null) throw new TemplateError("this {% raw %} has no {% endraw %}", at);
      data(at + raw.length, end.index, end[1] === "-");
      pos = end.index + end[0].length;
    } else if (found[0] === "{#") {
      COMMENT_END.lastIndex = at + 2;
      const end = COMMENT_END.exec(text);
      if (end === null) throw new TemplateError("this comment has no end: #}", at);
      pos = end.index + end[0].length;
    } else {
      const skip = sign === "-" || sign === "+" ? 3 : 2;
      tokens.push({ type: "begin", value: found[0], pos: at });
      pos = tag(text, at, at + skip, found[0] === "{{" ? VARIABLE_END : BLOCK_END, tokens);
    }
  }
  tokens.push({ type: "eof", value: "", pos: text.length });
  return tokens;
}

/** The tokens inside one `{{ … }}` or `{% … %}`; returns the offset behind it. */
function tag(text: string, begin: number, from: number, end: RegExp, tokens: Token[]): number {
  const open: { bracket: string; pos: number }[] = [];
  let pos = from;
  const take = (type: Token["type"], value: string, length: number) => {
    tokens.push({ type, value, pos });
    pos += length;
  };
  while (pos < text.length) {
    const close = open.length === 0 ? match(end, text, pos) : null;
    if (close !== null) {
      tokens.push({ type: "end", value: end === VARIABLE_END ? "}}" : "%}", pos });
      return pos + close.length;
    }
    const space = match(SPACE, text, pos);
    if (space !== null) {
      pos += space.length;
      continue;
    }
    const float = match(FLOAT, text, pos);
    const integer = float ?? match(INTEGER, text, pos);
    const name = integer ?? match(NAME, text, pos);
    const string = name ?? match(STRING, text, pos);
    const operator = string ?? match(OPERATOR, text, pos);
    if (float !== null) take("float", float.replaceAll("_", ""), float.length);
    else if (integer !== null) take("int", integer.replaceAll("_", ""), integer.length);
    else if (name !== null) take("name", name, name.length);
    else if (string !== null) take("string", unescaped(string.slice(1, -1)), string.length);
    else if (operator !== null) {
      const expected = { ")": "(", "]": "[", "}": "{" }[operator];
      if (expected !== undefined) {
        const last = open.pop();
        if (last === undefined) throw new TemplateError(`unexpected \`${operator}\``, pos);
        if (last.bracket !== expected)
          throw new TemplateError(`\`${operator}\` closes a \`${last.bracket}\``, pos);
      } else if ("([{".includes(operator)) open.push({ bracket: operator, pos });
      take("op", operator, operator.length);
    } else throw new TemplateError(`unexpected character \`${text[pos]}\` in a tag`, pos);
  }
  const last = open.at(-1);
  if (last !== undefined) throw new TemplateError(`this \`${last.bracket}\` is never closed`, last.pos);
  throw new TemplateError(`this tag has no end: ${end === VARIABLE_END ? "}}" : "%}"}`, begin);
}
