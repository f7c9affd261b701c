/**
 * A bird.conf with sessions disabled, for a drain where it has no drain constant: `disabled yes;` as the last word of their blocks. So it is part
 * of what is loaded, and outlives every `configure` and a restart of BIRD, which BIRD's own `disable` does not.
 */
import { FleetError } from "@muster/protocol/errors";
import { type DeclaredBird, declaredSessions } from "./declared.ts";
import { isMark, isWord, type Placed, placedTokens } from "./syntax.ts";

const LINE = "\n  disabled yes; # drained by Muster\n";

export type Disabling = {
  /** Sessions with other networks that are not disabled anyway. */
  readonly sessions: readonly string[];
  /** Of those the ones that stand in an included file: nothing can be put there. */
  readonly beyond: readonly string[];
};

/** @param declared what `text` declares with all that it includes */
export function disabling(text: string, declared: DeclaredBird): Disabling {
  const own = new Set(declaredSessions(text).sessions.map(({ name }) => name));
  const sessions = declared.sessions
    .filter(({ external, disabled }) => external && !disabled)
    .map(({ name }) => name);
  return { sessions, beyond: sessions.filter((name) => !own.has(name)) };
}

/** The text with these sessions disabled. Errors: INVALID for one whose block is not found in it. */
export function withDisabled(text: string, names: readonly string[]): string {
  if (names.length === 0) return text;
  const wanted = new Set(names);
  const ends = blockEnds(text);
  const sessions = declaredSessions(text).sessions;
  let out = "";
  let from = 0;
  for (const [index, { name }] of sessions.entries()) {
    const end = ends[index];
    if (end === undefined || !wanted.has(name)) continue;
    out += text.slice(from, end).trimEnd() + LINE;
    from = end;
  }
  out += text.slice(from);
  const disabled = new Set(
    declaredSessions(out).sessions.flatMap((session) => (session.disabled ? [session.name] : [])),
  );
  const missed = names.filter((name) => !disabled.has(name));
  if (missed.length > 0)
    throw new FleetError("INVALID", `bird.conf: no block of its own for session ${missed.join(", ")}`);
  return out;
}

/** Where the blocks of `protocol bgp` end, in the order of `declaredSessions`: the place of the closing brace. */
function blockEnds(text: string): number[] {
  const all = placedTokens(text);
  const ends: number[] = [];
  let depth = 0;
  let begins = true;
  for (let index = 0; index < all.length; index += 1) {
    const token = all[index]?.token;
    if (depth === 0 && begins && isWord(token, "protocol") && isWord(all[index + 1]?.token, "bgp")) {
      const end = closing(all, index);
      if (end === null) return ends;
      ends.push(all[end]?.at ?? text.length);
      index = end;
      continue;
    }
    if (isMark(token, "{") || isMark(token, "[") || isMark(token, "(")) depth += 1;
    if (isMark(token, "}") || isMark(token, "]") || isMark(token, ")")) depth = Math.max(0, depth - 1);
    begins = isMark(token, ";") || isMark(token, "}");
  }
  return ends;
}

/** Index of the brace that closes the block which the statement at `start` opens; null when none does. */
function closing(all: readonly Placed[], start: number): number | null {
  let depth = 0;
  for (let index = start; index < all.length; index += 1) {
    if (isMark(all[index]?.token, "{")) depth += 1;
    if (!isMark(all[index]?.token, "}")) continue;
    depth -= 1;
    if (depth === 0) return index;
  }
  return null;
}
