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
type Held = {
  readonly at: number;
  readonly key: string;
  readonly wanted: Wanted;
  readonly period_ms: number;
  readonly found: ReadonlyMap<string, Answers>;
};

export type Exports = {
  /** Of each session that is up and has something to be sent, the answers; what is not due yet is as it was. Errors: those of the daemon. */
  of(choice: Choice, seen: readonly BgpSession[], signal: AbortSignal): Promise<ReadonlyMap<string, Answers>>;
  /** Asks what is expected, when that is due, of the sessions as last seen: whether an answer has changed. Errors: those of the daemon. */
  moved(choice: Choice, signal: AbortSignal): Promise<boolean>;
};

export function createExports(now: () => number): Exports {
  let expected: Held | null = null;
  let own: Held | null = null;

  const isDue = ({ at, period_ms }: Held) => Math.abs(now() - at) >= period_ms;

  const renewed = async (
    held: Held | null,
    { wanted, key, each_ms }: { wanted: Wanted; key: string; each_ms: number },
    { speaker }: Choice,
    signal: AbortSignal,
  ): Promise<Held> => {
    if (held !== null && held.key === key && !isDue(held)) return held;
    const found = new Map<string, Answers>();
    for (const [name, prefixes] of wanted) found.set(name, await speaker.exported(name, prefixes, signal));
    const period_ms = Math.max(PERIOD_MS, questionsIn(wanted) * each_ms);
    return { at: now(), key, wanted, period_ms, found };
  };

  return {
    async of(choice, seen, signal) {
      const wanted = wantedOf(choice, seen);
      const states = seen.map(({ name, state, since }) => [name, state, since.at]);
      const key = JSON.stringify([wanted, states]);
      const asked = { wanted: wanted.expected, key, each_ms: EXPECTED_QUESTION_PERIOD_MS };
      expected = await renewed(expected, asked, choice, signal);
      own = await renewed(own, { wanted: wanted.own, key, each_ms: OWN_QUESTION_PERIOD_MS }, choice, signal);
      const found = new Map(expected.found);
      for (const [name, answers] of own.found) found.set(name, { ...found.get(name), ...answers });
      return found;
    },
    async moved(choice, signal) {
      const before = expected;
      if (before === null || before.wanted.length === 0 || !isDue(before)) return false;
      const each_ms = EXPECTED_QUESTION_PERIOD_MS;
      const after = await renewed(before, { ...before, each_ms }, choice, signal);
      expected = after;
      return before.wanted.some(([name, prefixes]) =>
        prefixes.some((prefix) => before.found.get(name)?.[prefix] !== after.found.get(name)?.[prefix]),
      );
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
