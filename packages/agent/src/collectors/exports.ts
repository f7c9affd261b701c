/**
 * Whether sessions that are up are sent what `expect.export` names, every ten seconds, and what the host originates, less often where that is much. A question is a
 * filter run for one net, which costs the agent and BIRD some 0.3 ms together: 500 of what is expected take 1.5 % of a core, and more of them their time.
 */
import type { BgpSession } from "@muster/protocol/telemetry/bgp";
import type { Choice } from "./speaker.ts";

const PERIOD_MS = 10_000;
const EXPECTED_QUESTION_PERIOD_MS = 20;
const OWN_QUESTION_PERIOD_MS = 200;
/** In all; what is expected comes first, and is asked whole. */
const QUESTIONS = 500;
const OWN_PREFIXES = 20;

type Answers = Readonly<Record<string, boolean | null>>;
type Wanted = readonly (readonly [session: string, prefixes: readonly string[]])[];
/** Of one session. `key`: what was asked of which connection; another one is asked anew, and it alone. */
type Answered = { readonly at: number; readonly key: string; readonly answers: Answers };
type Held = { readonly wanted: Wanted; readonly found: ReadonlyMap<string, Answered> };

export type Exports = {
  /** Of each session that is up and has something to be sent, the answers; what is not due yet is as it was. Errors: those of the daemon. */
  of(choice: Choice, seen: readonly BgpSession[], signal: AbortSignal): Promise<ReadonlyMap<string, Answers>>;
  /** Asks what is expected, when that is due, of the sessions as last seen: whether an answer has changed. Errors: those of the daemon. */
  moved(choice: Choice, signal: AbortSignal): Promise<boolean>;
};

export function createExports(now: () => number): Exports {
  const NOTHING: Held = { wanted: [], found: new Map() };
  let expected = NOTHING;
  let own = NOTHING;

  /** `since`: since when each session is up; without it they are as they were. */
  const renewed = async (
    held: Held,
    { wanted, each_ms, since }: { wanted: Wanted; each_ms: number; since?: ReadonlyMap<string, unknown> },
    { speaker }: Choice,
    signal: AbortSignal,
  ): Promise<Held> => {
    const at = now();
    const period_ms = Math.max(PERIOD_MS, questionsIn(wanted) * each_ms);
    const found = new Map<string, Answered>();
    for (const [name, prefixes] of wanted) {
      const before = held.found.get(name);
      const key = since === undefined ? before?.key : JSON.stringify([prefixes, since.get(name)]);
      const isDue = before === undefined || before.key !== key || Math.abs(at - before.at) >= period_ms;
      const answered = isDue
        ? { at, key: key ?? "", answers: await speaker.exported(name, prefixes, signal) }
        : before;
      found.set(name, answered);
    }
    return { wanted, found };
  };

  return {
    async of(choice, seen, signal) {
      const wanted = wantedOf(choice, seen);
      const since = new Map(seen.map((session) => [session.name, session.since.at]));
      const [of_expected, of_own] = [
        { wanted: wanted.expected, each_ms: EXPECTED_QUESTION_PERIOD_MS, since },
        { wanted: wanted.own, each_ms: OWN_QUESTION_PERIOD_MS, since },
      ];
      expected = await renewed(expected, of_expected, choice, signal);
      own = await renewed(own, of_own, choice, signal);
      const found = new Map([...expected.found].map(([name, { answers }]) => [name, answers]));
      for (const [name, { answers }] of own.found) found.set(name, { ...found.get(name), ...answers });
      return found;
    },
    async moved(choice, signal) {
      const before = expected;
      if (before.wanted.length === 0) return false;
      const again = { wanted: before.wanted, each_ms: EXPECTED_QUESTION_PERIOD_MS };
      const after = await renewed(before, again, choice, signal);
      expected = after;
      return before.wanted.some(([name, prefixes]) => {
        const [was, is] = [before.found.get(name), after.found.get(name)];
        return was !== is && prefixes.some((prefix) => was?.answers[prefix] !== is?.answers[prefix]);
      });
    },
  };
}

/** Own prefixes of a session are asked all or none. */
function wantedOf(
  { spec, originated }: Choice,
  seen: readonly BgpSession[],
): { readonly expected: Wanted; readonly own: Wanted } {
  const up = seen.filter(({ state }) => state === "established");
  const named = (name: string) => [...new Set(spec?.expect?.[name]?.export ?? [])];
  const expected = up.map(({ name }) => [name, named(name)] as const).filter(([, { length }]) => length > 0);
  let left = QUESTIONS - questionsIn(expected);
  const own = up.flatMap(({ name }) => {
    const others = originated.slice(0, OWN_PREFIXES).filter((prefix) => !named(name).includes(prefix));
    if (others.length === 0 || others.length > left) return [];
    left -= others.length;
    return [[name, others] as const];
  });
  return { expected, own };
}

const questionsIn = (wanted: Wanted) => wanted.reduce((sum, [, prefixes]) => sum + prefixes.length, 0);
