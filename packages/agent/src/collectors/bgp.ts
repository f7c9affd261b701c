/**
 * BGP sessions: BIRD is asked for its short table every two seconds over one restricted connection, and for everything when that has changed or
 * ten seconds are over; a sample goes out when something changed, and every ten seconds so that silence shows. What the manifest (or, on a host that is only watched, its own bird.conf) declares is expected.
 */
import type { BgpSample, Bird, FleetEvent, ThrownSwitch } from "@muster/protocol";
import { asDrained, drainText } from "@muster/protocol/drained";
import { FleetError } from "@muster/protocol/errors";
import type { BgpSession } from "@muster/protocol/telemetry/bgp";
import { type DeclaredSession, declaredSessions } from "../bird/declared.ts";
import { judgeSessions, type ObservedSession } from "../bird/judge.ts";
import { remember } from "../bird/remember.ts";
import { unreachableDaemon } from "../bird/status.ts";
import type { Ports } from "../ports/index.ts";
import { sessionEvents } from "./session-events.ts";

export const BGP_POLL_MS = 2_000;
const PUBLISH_PERIOD_MS = 10_000;
const EXPORTS_PERIOD_MS = 10_000;
const BOOT_FILE = "/etc/bird/bird.conf";
const CONFIG_BYTES = 4 * 1024 * 1024;

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
  let parsed: { text: string; sessions: readonly DeclaredSession[] } | null = null;
  let exports: {
    at: number;
    key: string;
    found: Map<string, Readonly<Record<string, boolean | null>>>;
  } | null = null;
  let last: BgpSample | null = null;
  let looked: { at: number; spec: Bird | null; drain: ThrownSwitch | null; table: string } | null = null;
  let published_at = Number.NEGATIVE_INFINITY;

  const declaredNow = async (spec: Bird | null): Promise<readonly DeclaredSession[]> => {
    const text =
      spec?.config ?? (await ports.files.read(BOOT_FILE, CONFIG_BYTES, "follow"))?.toString("utf8") ?? "";
    if (parsed === null || parsed.text !== text) parsed = { text, sessions: sessionsOf(text) };
    return parsed.sessions;
  };

  const exportsNow = async (spec: Bird | null, seen: readonly BgpSession[], signal: AbortSignal) => {
    const wanted = Object.entries(spec?.expect ?? {}).filter(([, each]) => (each.export?.length ?? 0) > 0);
    const key = JSON.stringify([wanted, seen.map(({ name, state }) => [name, state])]);
    if (exports !== null && exports.key === key && ports.now() - exports.at < EXPORTS_PERIOD_MS)
      return exports.found;
    const found = new Map<string, Readonly<Record<string, boolean | null>>>();
    for (const [name, expectation] of wanted) {
      if (!seen.some((session) => session.name === name && session.state === "established")) continue;
      found.set(name, await ports.routing.exported(name, expectation.export ?? [], signal));
    }
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
    const expected = await declaredNow(spec);
    const at = new Date(ports.now()).toISOString();
    try {
      const seen = await ports.routing.sessions(signal);
      const sent = await exportsNow(spec, seen.sessions, signal);
      const observed = seen.sessions.map((session): ObservedSession => {
        const own = sent.get(session.name);
        return own === undefined ? session : { ...session, exports: own };
      });
      return { ...seen, sessions: judgeSessions(expected, spec?.expect ?? {}, observed, ports.now()) };
    } catch (error) {
      if (!(error instanceof FleetError) || error.code === "CANCELLED") throw error;
      if (spec === null && expected.length === 0) return null;
      const sessions = judgeSessions(expected, spec?.expect ?? {}, null, ports.now());
      return { at, daemon: unreachableDaemon(error.detail || error.message), sessions };
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

/** Sessions that a text declares; one that cannot be read declares none, BIRD itself has refused it. */
function sessionsOf(text: string): readonly DeclaredSession[] {
  try {
    return declaredSessions(text).sessions;
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    return [];
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
