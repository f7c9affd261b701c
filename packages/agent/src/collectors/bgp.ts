/**
 * BGP sessions: BIRD is asked for its short table every two seconds over one restricted connection, and for everything when that has changed or
 * ten seconds are over; a sample goes out when something changed, and every ten seconds so that silence shows. What the manifest (or, on a host that is only watched, its own bird.conf) declares is expected.
 */
import type { BgpSample, Bird, FleetEvent, ThrownSwitch } from "@muster/protocol";
import { asDrained, drainText } from "@muster/protocol/drained";
import { FleetError } from "@muster/protocol/errors";
import type { BgpSession } from "@muster/protocol/telemetry/bgp";
import { type DeclaredBird, declaredSessions } from "../bird/declared.ts";
import { judgeSessions, type ObservedSession } from "../bird/judge.ts";
import { remember } from "../bird/remember.ts";
import { unreachableDaemon } from "../bird/status.ts";
import { NOTHING_BESIDE } from "../bird/survey.ts";
import type { Ports } from "../ports/index.ts";
import { sessionEvents } from "./session-events.ts";

export const BGP_POLL_MS = 2_000;
const PUBLISH_PERIOD_MS = 10_000;
const EXPORTS_PERIOD_MS = 10_000;
/** A question is a filter run for one net, which costs the agent and BIRD some 0.3 ms together. */
const QUESTION_PERIOD_MS = 200;
const EXPORT_QUESTIONS = 500;
const OWN_PREFIXES = 20;
const BOOT_FILE = "/etc/bird/bird.conf";
const CONFIG_BYTES = 4 * 1024 * 1024;

type Declared = Pick<DeclaredBird, "sessions" | "originated">;

export type BgpCollector = {
  /** Asks BIRD now; null on a host that has none and declares none. */
  sample(signal: AbortSignal): Promise<BgpSample | null>;
  /** The last sample of the poll; null while there is none. */
  last(): BgpSample | null;
  /** One turn of the poll: the sample if it should be published, and the events of what changed. */
  poll(signal: AbortSignal): Promise<{ sample: BgpSample | null; events: readonly Omit<FleetEvent, "at">[] }>;
};

/** `declared` gives the spec that Muster applied here, the same object while it is the same; null while it manages no BIRD. */
export function createBgp(ports: Ports, declared: () => Bird | null): BgpCollector {
  let parsed: { text: string; bird: Declared } | null = null;
  let exports: {
    at: number;
    key: string;
    found: Map<string, Readonly<Record<string, boolean | null>>>;
  } | null = null;
  let last: BgpSample | null = null;
  let looked: { at: number; spec: Bird | null; drain: ThrownSwitch | null; table: string } | null = null;
  let published_at = Number.NEGATIVE_INFINITY;

  const declaredNow = async (spec: Bird | null): Promise<Declared> => {
    const text =
      spec?.config ?? (await ports.files.read(BOOT_FILE, CONFIG_BYTES, "follow"))?.toString("utf8") ?? "";
    if (parsed === null || parsed.text !== text) parsed = { text, bird: declaredIn(text) };
    return parsed.bird;
  };

  /** Of each session that is up, whether it is sent what the host originates and what `expect` asks for: a question each, so not many and not often. */
  const exportsNow = async (
    spec: Bird | null,
    originated: readonly string[],
    seen: readonly BgpSession[],
    signal: AbortSignal,
  ) => {
    const own = originated.slice(0, OWN_PREFIXES);
    let left = EXPORT_QUESTIONS;
    const wanted = seen.flatMap(({ name, state }): [string, readonly string[]][] => {
      const asked = spec?.expect?.[name]?.export ?? [];
      const prefixes = [...new Set([...asked, ...own])];
      if (state !== "established" || prefixes.length === 0) return [];
      // What is asked for is always looked up.
      const some = left >= prefixes.length ? prefixes : asked;
      left -= some.length;
      return some.length === 0 ? [] : [[name, some]];
    });
    const key = JSON.stringify([wanted, seen.map(({ name, state, since }) => [name, state, since.at])]);
    const questions = EXPORT_QUESTIONS - left;
    const period_ms = Math.max(EXPORTS_PERIOD_MS, questions * QUESTION_PERIOD_MS);
    if (exports !== null && exports.key === key && ports.now() - exports.at < period_ms) return exports.found;
    const found = new Map<string, Readonly<Record<string, boolean | null>>>();
    for (const [name, prefixes] of wanted)
      found.set(name, await ports.routing.exported(name, prefixes, signal));
    exports = { at: ports.now(), key, found };
    return found;
  };

  const sample = async (signal: AbortSignal): Promise<BgpSample | null> => {
    const taken = await take(signal);
    if (taken === null) return null;
    const drain = ports.drain();
    if (drain === null) return remember(taken, last);
    const words = drainText(drain, ports.now());
    return remember({ ...taken, sessions: taken.sessions.map((each) => asDrained(each, words)) }, last);
  };

  const take = async (signal: AbortSignal): Promise<BgpSample | null> => {
    const spec = declared();
    const { sessions: expected, originated } = await declaredNow(spec);
    const at = new Date(ports.now()).toISOString();
    try {
      const seen = await ports.routing.survey(signal);
      const sent = await exportsNow(spec, originated, seen.sessions, signal);
      const observed = seen.sessions.map((session): ObservedSession => {
        const own = sent.get(session.name);
        return own === undefined ? session : { ...session, sent: own };
      });
      return { ...seen, sessions: judgeSessions(expected, spec?.expect ?? {}, observed, ports.now()) };
    } catch (error) {
      if (!(error instanceof FleetError) || error.code === "CANCELLED") throw error;
      if (spec === null && expected.length === 0) return null;
      const sessions = judgeSessions(expected, spec?.expect ?? {}, null, ports.now());
      return { at, daemon: unreachableDaemon(error.detail || error.message), sessions, ...NOTHING_BESIDE };
    }
  };

  /** Whether what was last looked at still stands: all of it costs ten times the short table, every two seconds on an idle host. */
  const unchanged = async (signal: AbortSignal): Promise<boolean> => {
    const [spec, drain, at] = [declared(), ports.drain(), ports.now()];
    const before = looked;
    looked = null;
    try {
      looked = { at, spec, drain, table: await ports.routing.table(signal) };
    } catch (error) {
      // The full look says why, and in which words.
      if (!(error instanceof FleetError) || error.code === "CANCELLED") throw error;
      return false;
    }
    if (before === null || before.spec !== spec || before.drain !== drain) return false;
    if (before.table !== looked.table) return false;
    if (at - before.at >= PUBLISH_PERIOD_MS || at < before.at) return false;
    looked = before;
    return true;
  };

  return {
    sample,
    last: () => last,
    async poll(signal) {
      if (await unchanged(signal)) return { sample: null, events: [] };
      const before = last;
      const now = await sample(signal);
      last = now;
      const events = before === null || now === null ? [] : sessionEvents(before, now);
      const changed = shape(before) !== shape(now);
      if (now === null || (!changed && ports.now() - published_at < PUBLISH_PERIOD_MS))
        return { sample: null, events };
      published_at = ports.now();
      return { sample: now, events };
    },
  };
}

/** What a text declares; one that cannot be read declares nothing, BIRD itself has refused it. */
function declaredIn(text: string): Declared {
  try {
    return declaredSessions(text);
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    return { sessions: [], originated: [] };
  }
}

/** What counts as a change: states and verdicts, not counters. */
const shape = (sample: BgpSample | null) =>
  sample === null
    ? "none"
    : JSON.stringify([
        sample.daemon.reachable,
        sample.daemon.version,
        sample.sessions.map(({ name, state, verdict, why, expected }) => [
          name,
          state,
          verdict,
          expected,
          verdict === "ok" ? "" : why,
        ]),
      ]);
