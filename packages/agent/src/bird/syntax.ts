/**
 * As much of bird.conf's grammar as finding protocols takes: tokens, and statements with their blocks. BIRD's own binary
 * is the judge of a file (`configure check`); this only reads what it would accept. Strings have no escapes and end with
 * their line (conf/cf-lex.l); C comments do not nest; `#` runs to the end of the line.
 */

/** `text` of a string or 'quoted name' is without its quotes. */
export type Token = { readonly kind: "word" | "string" | "mark"; readonly text: string };

/** A statement up to its `;`, or up to the end of its block: `body` holds the block's tokens, null without one. */
export type Statement = { readonly head: readonly Token[]; readonly body: readonly Token[] | null };

/** Gives the text of an included file (or of all that match a pattern), null if it cannot be had. */
export type IncludeReader = (path: string) => string | null;

const MARKS = "{}()[];,=<>!~&|?";
/** BIRD's own limit on nested includes. */
const MAX_INCLUDE_DEPTH = 8;

/** A token and where it begins in the text. */
export type Placed = { readonly token: Token; readonly at: number };

export const tokens = (text: string): Token[] => placedTokens(text).map(({ token }) => token);

export function placedTokens(text: string): Placed[] {
  const found: Placed[] = [];
  let at = 0;
  const until = (end: number) => (end < 0 ? text.length : end);
  while (at < text.length) {
    const char = text.charAt(at);
    if (/\s/.test(char)) at += 1;
    else if (char === "#") at = until(text.indexOf("\n", at));
    else if (text.startsWith("/*", at)) {
      const end = text.indexOf("*/", at + 2);
      at = end < 0 ? text.length : end + 2;
    } else if (char === '"' || char === "'") {
      const end = until(text.indexOf(char, at + 1));
      found.push({ at, token: { kind: char === '"' ? "string" : "word", text: text.slice(at + 1, end) } });
      at = end + 1;
    } else if (MARKS.includes(char)) {
      found.push({ at, token: { kind: "mark", text: char } });
      at += 1;
    } else {
      const start = at;
      while (at < text.length && !endsWord(text, at)) at += 1;
      found.push({ at: start, token: { kind: "word", text: text.slice(start, at) } });
    }
  }
  return found;
}

function endsWord(text: string, at: number): boolean {
  const char = text.charAt(at);
  return /\s/.test(char) || MARKS.includes(char) || "#\"'".includes(char) || text.startsWith("/*", at);
}

/** Tokens with every `include "…";` that can be read put in its place; `includes` names all of them, read or not. */
export function expandIncludes(text: string, read: IncludeReader): { tokens: Token[]; includes: string[] } {
  const includes: string[] = [];
  const expand = (source: string, depth: number): Token[] => {
    const plain = tokens(source);
    const out: Token[] = [];
    for (let at = 0; at < plain.length; at += 1) {
      const token = plain[at];
      const path = plain[at + 1];
      const starts =
        at === 0 || isMark(plain[at - 1], ";") || isMark(plain[at - 1], "}") || isMark(plain[at - 1], "{");
      if (token !== undefined && isWord(token, "include") && starts && path?.kind === "string") {
        includes.push(path.text);
        const inner = depth < MAX_INCLUDE_DEPTH ? read(path.text) : null;
        if (inner !== null) out.push(...expand(inner, depth + 1));
        at += isMark(plain[at + 2], ";") ? 2 : 1;
      } else if (token !== undefined) out.push(token);
    }
    return out;
  };
  return { tokens: expand(text, 0), includes };
}

/**
 * Splits into statements. A brace outside of `[ ]` and `( )` opens a block, which ends its statement without a `;`;
 * inside of them it belongs to a prefix pattern (`[ 10.0.0.0/8{16,24} ]`).
 */
export function statements(source: readonly Token[]): Statement[] {
  const found: Statement[] = [];
  let head: Token[] = [];
  let depth = 0;
  for (let at = 0; at < source.length; at += 1) {
    const token = source[at];
    if (token === undefined) break;
    if (depth === 0 && isMark(token, "{")) {
      const end = blockEnd(source, at);
      found.push({ head, body: source.slice(at + 1, end) });
      head = [];
      at = end;
    } else if (depth === 0 && isMark(token, ";")) {
      if (head.length > 0) found.push({ head, body: null });
      head = [];
    } else {
      if (isMark(token, "[") || isMark(token, "(")) depth += 1;
      if (isMark(token, "]") || isMark(token, ")")) depth = Math.max(0, depth - 1);
      head.push(token);
    }
  }
  if (head.length > 0) found.push({ head, body: null });
  return found;
}

/** Index of the brace that closes the one at `open`; the end of the text if none does. */
function blockEnd(source: readonly Token[], open: number): number {
  let depth = 0;
  for (let at = open; at < source.length; at += 1) {
    if (isMark(source[at], "{")) depth += 1;
    if (isMark(source[at], "}")) depth -= 1;
    if (depth === 0) return at;
  }
  return source.length;
}

export function isWord(token: Token | undefined, text: string): boolean {
  return token?.kind === "word" && token.text === text;
}

export function isMark(token: Token | undefined, text: string): boolean {
  return token?.kind === "mark" && token.text === text;
}
