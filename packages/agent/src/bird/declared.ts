/**
 * The BGP sessions that a bird.conf declares. They are what is expected to be up, so a session that BIRD does not show,
 * or shows down, can be called missing.
 */
import {
  expandIncludes,
  type IncludeReader,
  isMark,
  isWord,
  type Statement,
  statements,
  type Token,
} from "./syntax.ts";

export type DeclaredSession = {
  /** As written, or the name that BIRD gives to an unnamed one (bgp1, bgp2, …). */
  readonly name: string;
  /** Address (with %interface), or the prefix of a dynamic one; null if it stands nowhere that we can read. */
  readonly neighbor: string | null;
  /** AS of the peer, null if any is taken or it is computed. */
  readonly as: number | null;
  /** `neighbor range`: a listener that makes one session for each peer that comes. */
  readonly dynamic: boolean;
  /** First part of the names of the sessions that a dynamic one makes (BIRD's default `dynbgp`). */
  readonly dynamic_name: string | null;
  readonly disabled: boolean;
  /** With another network: its AS is not ours, or not known before it comes. */
  readonly external: boolean;
  /** The statements of the block, what it inherits before its own; constants are replaced by their values. */
  readonly statements: readonly Statement[];
};

export type DeclaredBird = {
  readonly sessions: readonly DeclaredSession[];
  /** The line `include "/etc/bird/muster.conf";` is there, so that a drain can work. */
  readonly muster_include: boolean;
  /** Every included path; those that `read` could not give are not in `sessions`. */
  readonly includes: readonly string[];
  /** Prefixes that the host itself brings into routing: static routes that lead nowhere else (unreachable, blackhole, prohibit). */
  readonly originated: readonly string[];
  /** `router id` as written; changing it resets every session. */
  readonly router_id: string | null;
};

export const MUSTER_INCLUDE = "/etc/bird/muster.conf";

const LEADS_NOWHERE = new Set(["unreachable", "blackhole", "prohibit", "reject", "drop"]);
const SWITCH_OFF = new Set(["off", "no", "false", "0"]);

/** @param read gives included files; without it only `text` itself counts */
export function declaredSessions(text: string, read: IncludeReader = () => null): DeclaredBird {
  const { tokens, includes } = expandIncludes(text, read);
  const constants = new Map<string, readonly Token[]>();
  const blocks = new Map<string, readonly Statement[]>();
  const names = new Set<string>();
  const sessions: DeclaredSession[] = [];
  const originated: string[] = [];
  let unnamed = 0;
  let router_id: string | null = null;

  for (const statement of statements(tokens)) {
    const [first, second, third] = statement.head;
    if (isWord(first, "define") && second !== undefined && isMark(third, "=")) {
      constants.set(second.text, substitute(statement.head.slice(3), constants));
      names.add(second.text);
    } else if (isWord(first, "router") && isWord(second, "id")) {
      router_id = substitute(statement.head.slice(2), constants)
        .map((token) => token.text)
        .join(" ");
    } else if (statement.body === null) {
      // `ipv6 table NAME;` and the like: only the name matters, since an unnamed protocol may not take it.
      const last = statement.head.at(-1);
      if (last?.kind === "word") names.add(last.text);
    } else if (!isWord(first, "protocol") && !isWord(first, "template")) {
      if (second?.kind === "word") names.add(second.text);
    } else {
      const from = statement.head.findIndex((token, index) => index >= 2 && isWord(token, "from"));
      const written = from === 2 ? undefined : third;
      const parent = from < 0 ? undefined : statement.head[from + 1]?.text;
      const is_bgp = isWord(second, "bgp");
      let name = written?.text ?? "";
      if (name === "" && is_bgp) {
        do {
          unnamed += 1;
          name = `bgp${unnamed}`;
        } while (names.has(name));
      }
      names.add(name);
      if (isWord(second, "static")) originated.push(...originatedBy(substitute(statement.body, constants)));
      if (!is_bgp) continue;
      const own = statements(substitute(statement.body, constants));
      const all = [...((parent === undefined ? undefined : blocks.get(parent)) ?? []), ...own];
      blocks.set(name, all);
      if (isWord(first, "protocol")) sessions.push(describe(name, all));
    }
  }
  const muster_include = includes.includes(MUSTER_INCLUDE);
  return { sessions, muster_include, includes, originated: [...new Set(originated)], router_id };
}

/** A block of routes for routing; those of ROAs and of flows are something else. */
function originatedBy(body: readonly Token[]): string[] {
  const all = statements(body);
  if (
    all.some(({ head: [first, second] }) => isWord(first, "disabled") && !SWITCH_OFF.has(second?.text ?? ""))
  )
    return [];
  return all.flatMap(({ head }) => {
    const [first, prefix] = head;
    if (!isWord(first, "route") || prefix === undefined || !/^[0-9a-fA-F.:]+\/\d{1,3}$/.test(prefix.text))
      return [];
    return head.some((token) => token.kind === "word" && LEADS_NOWHERE.has(token.text)) ? [prefix.text] : [];
  });
}

/** Later statements win, as in BIRD, where a template's are taken first. */
function describe(name: string, all: readonly Statement[]): DeclaredSession {
  let neighbor: string | null = null;
  let as: number | null = null;
  let dynamic = false;
  let dynamic_name: string | null = null;
  let disabled = false;
  let local_as: number | null = null;
  for (const { head } of all) {
    const [first, second, third] = head;
    if (isWord(first, "disabled")) disabled = second === undefined || !SWITCH_OFF.has(second.text);
    else if (isWord(first, "local")) local_as = numberAfter(head, "as") ?? local_as;
    else if (isWord(first, "dynamic") && isWord(second, "name") && third !== undefined)
      dynamic_name = third.text;
    else if (isWord(first, "neighbor")) {
      dynamic = isWord(second, "range");
      const found = dynamic ? third : second;
      const is_address = found !== undefined && /[.:]/.test(found.text);
      if (is_address) neighbor = found.text + interfaceOf(head, dynamic ? 3 : 2);
      as = numberAfter(head, "as") ?? (head.some((token) => isWord(token, "internal")) ? local_as : as);
    }
  }
  if (dynamic) dynamic_name ??= "dynbgp";
  const external = as === null || as !== local_as;
  return { name, neighbor, as, dynamic, dynamic_name, disabled, external, statements: all };
}

/** `fe80::1 % 'eth0'` with spaces; without them the % is part of the address' word, and the name may follow quoted. */
function interfaceOf(head: readonly Token[], at: number): string {
  const before = head[at - 1]?.text ?? "";
  const token = head[at];
  if (before.endsWith("%")) return token?.text ?? "";
  if (isWord(token, "%")) return `%${head[at + 1]?.text ?? ""}`;
  return token?.text.startsWith("%") === true ? token.text : "";
}

function numberAfter(head: readonly Token[], word: string): number | null {
  const at = head.findIndex((token) => isWord(token, word));
  const text = at < 0 ? undefined : head[at + 1]?.text;
  return text !== undefined && /^\d+$/.test(text) && head[at + 2]?.kind !== "mark" ? Number(text) : null;
}

function substitute(source: readonly Token[], constants: ReadonlyMap<string, readonly Token[]>): Token[] {
  return source.flatMap((token) =>
    token.kind === "word" ? (constants.get(token.text) ?? [token]) : [token],
  );
}

/** Whether `name` is a session that the dynamic one `declared` made: BIRD names them by `dynamic name` and a number. */
export function isDynamicChild(declared: DeclaredSession, name: string): boolean {
  if (!declared.dynamic || declared.dynamic_name === null) return false;
  return name.startsWith(declared.dynamic_name) && /^\d+$/.test(name.slice(declared.dynamic_name.length));
}
