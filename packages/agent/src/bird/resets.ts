/**
 * Which sessions a new bird.conf will reset, from the two texts alone. The rule: BIRD applies a change of filters, limits
 * and remarks in place and restarts the session for any other difference in its block (proto_reconfigure and
 * bgp_reconfigure in BIRD). So a session is reset if
 *  - `router id` changed (all sessions), or
 *  - a statement of its block changed, templates and constants worked in, that is not `description`, `debug`, `disabled`,
 *    `import …`, `export …`, `… limit …` or `preference`; inside channels the same, or
 *  - a channel came or went, or
 *  - it is the same neighbour and AS under another name, or the same name with another neighbour or AS.
 * Tried on BIRD 2.0.12: these are in place there, and timers, addresses, AS and router id reset; so do not `next hop` and
 * `import keep filtered`, which other versions restart for. What an unread include changes is not seen. Taking too many
 * only makes the window longer.
 */
import type { DeclaredBird, DeclaredSession } from "./declared.ts";
import { type Statement, statements, type Token } from "./syntax.ts";

export type SessionReset = { readonly session: string; readonly why: string };

export type GuardWindow = { readonly window_s: 60 | 300; readonly resets: readonly SessionReset[] };

/** Filters reload in place within seconds. */
const FILTER_WINDOW_S = 60;
/** After an error BIRD itself waits up to 300 s before it tries again (`error wait time 60, 300`). */
const RESET_WINDOW_S = 300;

const IN_PLACE: ReadonlySet<string> = new Set([
  "description",
  "debug",
  "disabled",
  "import",
  "export",
  "receive",
  "preference",
]);
/** `import table`, `import keep filtered` and `export table` change what is stored, which needs a restart. */
const STORED: ReadonlySet<string> = new Set(["table", "keep"]);

export function guardWindow(before: DeclaredBird, after: DeclaredBird): GuardWindow {
  const resets: SessionReset[] = [];
  for (const old of before.sessions) {
    const successor = successorOf(old, after.sessions, before.sessions);
    if (successor === null || old.disabled || successor.disabled) continue;
    const why =
      before.router_id !== after.router_id
        ? "the router id changed"
        : successor.name !== old.name
          ? `renamed to ${successor.name}`
          : firstDifference(old, successor);
    if (why !== null) resets.push({ session: old.name, why });
  }
  return { window_s: resets.length > 0 ? RESET_WINDOW_S : FILTER_WINDOW_S, resets };
}

/**
 * The same session in the other text: same neighbour and AS; of several, the one with the same name. Else the one that kept the name under
 * another neighbour or AS, as a wrong AS makes it: whoever means to end a session takes it out or renames it.
 * @param siblings the sessions of the text that `old` is from
 */
export function successorOf(
  old: DeclaredSession,
  sessions: readonly DeclaredSession[],
  siblings: readonly DeclaredSession[],
): DeclaredSession | null {
  const same = sessions.filter((other) => isSamePeer(other, old));
  const named = sessions.find((other) => other.name === old.name) ?? null;
  if (same.length > 0) return same.find((other) => other === named) ?? same[0] ?? null;
  return named === null || siblings.some((other) => isSamePeer(other, named)) ? null : named;
}

const isSamePeer = (one: DeclaredSession, other: DeclaredSession) =>
  one.neighbor === other.neighbor && one.as === other.as;

function firstDifference(before: DeclaredSession, after: DeclaredSession): string | null {
  const old = resettingLines(before.statements, "");
  const now = resettingLines(after.statements, "");
  const gone = old.find((line) => !now.includes(line));
  const come = now.find((line) => !old.includes(line));
  if (gone === undefined && come === undefined) return null;
  // A password must not reach a plan or a log.
  if (
    [gone, come].some((line) => line !== undefined && /(^|[ :])(password|passwords|key|keys)\b/.test(line))
  ) {
    return "the password changed";
  }
  return `${gone ?? "nothing"} became ${come ?? "nothing"}`;
}

/** The statements whose change resets, in one form each; those in channels with the channel before them. */
function resettingLines(all: readonly Statement[], inside: string): string[] {
  return all.flatMap(({ head, body }): string[] => {
    const [first, second] = head;
    if (first === undefined) return [];
    if (first.kind === "word" && IN_PLACE.has(first.text) && !STORED.has(second?.text ?? "")) return [];
    const line = inside + head.map(shownToken).join(" ");
    if (body === null) return [line];
    return [line, ...resettingLines(statements(body), `${line}: `)];
  });
}

function shownToken(token: Token): string {
  return token.kind === "string" ? JSON.stringify(token.text) : token.text;
}
