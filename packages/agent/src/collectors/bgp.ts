/**
 * BGP sessions: BIRD (or FRR) is asked for its short table every 0.85 s over one restricted connection, and for everything when that has changed or ten seconds are
 * over; a sample goes out when something changed, and every ten seconds so that silence shows. What costs much, on a router with thousands of sessions, is
 * done less often. What the manifest (or, on a host that is only watched, its own bird.conf) declares is expected.
 *
 * Period 0.85 s and 10 s; cost 0.5 ms and 1.6 ms of two sessions, a look at 1,000 some 0.3 s (docs/figures.md), so at most 1/30 and 1/100 of the time; SAMPLE_BYTES.
 */
import type { BgpSample, Bird, FleetEvent, ThrownSwitch } from "@muster/protocol";
import { asDrained, drainText } from "@muster/protocol/drained";
import { FleetError } from "@muster/protocol/errors";
import { type BgpFault, daemonTitle } from "@muster/protocol/telemetry/bgp";
import { faultsOf } from "../bird/faults.ts";
import { judgeSessions, type ObservedSession } from "../bird/judge.ts";
import { remember } from "../bird/remember.ts";
import { unreachableDaemon } from "../bird/status.ts";
import { NOTHING_BESIDE } from "../bird/survey.ts";
import type { Ports } from "../ports/index.ts";
import { createExports } from "./exports.ts";
import { fitting } from "./fitting.ts";
import { sessionEvents } from "./session-events.ts";
import { type Choice, speakerHere } from "./speaker.ts";

/** A session that goes down is to be told within a second. */
export const BGP_POLL_MS = 850;
/** Where nobody speaks BGP and nobody expects it. */
const ABSENT_POLL_MS = 2_500;
/** A table of thousands of lines is asked for less often: it takes at most one part in so many of the time. */
const POLL_SHARE = 30;
const POLL_MAX_MS = 5_000;
const PUBLISH_PERIOD_MS = 10_000;
/** So does the full look, while the table stands still and while it does not. */
const LOOK_SHARE = 100;
const LOOK_PERIOD_MAX_MS = 60_000;
const LOOKS_APART = 4;

export type BgpCollector = {
  /** Asks BIRD now; null on a host that has none and declares none. */
  sample(signal: AbortSignal): Promise<BgpSample | null>;
  /** The last sample of the poll; null while there is none. */
  last(): BgpSample | null;
  /** How long to wait until the next turn. */
  pace_ms(): number;
  /** One turn of the poll: the sample if it should be published, and the events of what changed. */
  poll(signal: AbortSignal): Promise<{ sample: BgpSample | null; events: readonly Omit<FleetEvent, "at">[] }>;
};

/** `declared` gives the spec that Muster applied here, the same object while it is the same; null while it manages no BIRD. */
export function createBgp(ports: Ports, declared: () => Bird | null): BgpCollector {
  const speaker = speakerHere(ports);
  const exports = createExports(ports.now);
  /** As of the last full look: the short table is asked of the same daemon. */
  let choice: Choice | null = null;
  let last: BgpSample | null = null;
  let looked: {
    at: number;
    spec: Bird | null;
    drain: ThrownSwitch | null;
    table: string;
    cost_ms: number;
  } | null = null;
  let table_ms = 0;
  let absent = false;
  let published_at = Number.NEGATIVE_INFINITY;

  const sample = async (signal: AbortSignal): Promise<BgpSample | null> => finished(await take(signal));

  /** With what is drained on purpose, and with what only we remember. */
  const finished = (taken: BgpSample | null): BgpSample | null => {
    if (taken === null) return null;
    const drain = ports.drain();
    if (drain === null) return remember(taken, last);
    const words = drainText(drain, ports.now());
    return remember({ ...taken, sessions: taken.sessions.map((each) => asDrained(each, words)) }, last);
  };

  const take = async (signal: AbortSignal): Promise<BgpSample | null> => {
    const chosen = await speaker(declared());
    choice = chosen;
    try {
      const seen = await chosen.speaker.survey(signal);
      const originated = (await chosen.speaker.originated?.(signal)) ?? chosen.originated;
      const sent = await exports.of({ ...chosen, originated }, seen.sessions, signal);
      const observed = seen.sessions.map((session): ObservedSession => {
        const own = sent.get(session.name);
        return own === undefined ? session : { ...session, sent: own };
      });
      const sessions = judged(chosen, observed);
      const faults = [...seen.faults, ...unreadFaults(chosen)];
      return { ...seen, sessions, faults: faultsOf({ ...seen, sessions, faults }) };
    } catch (error) {
      return unreachable(error, chosen);
    }
  };

  const judged = ({ sessions, spec, name }: Choice, seen: readonly ObservedSession[] | null) =>
    judgeSessions(sessions, spec?.expect ?? {}, seen, ports.now(), daemonTitle(name));

  /** The sample of a daemon that gave no answer, or none that can be read; null where nobody expects one. Throws what is no fault of the daemon's. */
  const unreachable = (error: unknown, chosen: Choice): BgpSample | null => {
    if (!(error instanceof FleetError) || error.code === "CANCELLED") throw error;
    if (chosen.spec === null && chosen.sessions.length === 0 && chosen.unread === null) return null;
    const at = new Date(ports.now()).toISOString();
    const daemon = { ...unreachableDaemon(error.detail || error.message), name: chosen.name };
    return { at, daemon, sessions: judged(chosen, null), ...NOTHING_BESIDE, faults: unreadFaults(chosen) };
  };

  /** The short table says that nothing is new, and the last look is not old: all of it costs ten times as much. */
  const standsStill = (table: string, spec: Bird | null, drain: ThrownSwitch | null, at: number): boolean => {
    const before = looked;
    if (before === null || at < before.at || before.spec !== spec || before.drain !== drain) return false;
    const age_ms = at - before.at;
    // Thousands of sessions that come and go are not looked at without pause.
    if (before.table !== table) return age_ms < before.cost_ms * LOOKS_APART;
    return age_ms < Math.max(PUBLISH_PERIOD_MS, Math.min(LOOK_PERIOD_MAX_MS, before.cost_ms * LOOK_SHARE));
  };

  /** What is new since the last poll: a full look, the same again with the time of now, or null. */
  const next = async (signal: AbortSignal): Promise<BgpSample | "same" | null> => {
    const [spec, drain, at] = [declared(), ports.drain(), ports.now()];
    const asked_ms = performance.now();
    const chosen = looked === null || choice === null || looked.spec !== spec ? await speaker(spec) : choice;
    let table: string;
    try {
      table = await chosen.speaker.table(signal);
      table_ms = performance.now() - asked_ms;
      // Where a look is dear, what must be exported does not wait for the next.
      if (standsStill(table, spec, drain, at) && !(await exports.moved(chosen, signal))) return "same";
    } catch (error) {
      looked = null;
      return finished(unreachable(error, chosen));
    }
    looked = null;
    const begun_ms = performance.now();
    const now = await sample(signal);
    looked = { at, spec, drain, table, cost_ms: performance.now() - begun_ms };
    return now;
  };

  return {
    sample,
    last: () => last,
    pace_ms: () =>
      absent ? ABSENT_POLL_MS : Math.min(POLL_MAX_MS, Math.max(BGP_POLL_MS, table_ms * POLL_SHARE)),
    async poll(signal) {
      const found = await next(signal);
      absent = found === null;
      // A clock that was set back must not make it wait.
      const due = Math.abs(ports.now() - published_at) >= PUBLISH_PERIOD_MS;
      if (found === "same") {
        // The short table has just said so.
        if (!due || last === null) return { sample: null, events: [] };
        published_at = ports.now();
        return { sample: fitting({ ...last, at: new Date(published_at).toISOString() }), events: [] };
      }
      const before = last;
      last = found;
      const events = before === null || found === null ? [] : sessionEvents(before, found);
      if (found === null || (!due && shape(before) === shape(found))) return { sample: null, events };
      published_at = ports.now();
      return { sample: fitting(found), events };
    },
  };
}

const unreadFaults = ({ unread }: Choice): BgpFault[] =>
  unread === null
    ? []
    : [
        {
          ...{ colour: "amber", session: null },
          what: `${unread.slice(0, 400)}. What it declared when it could be read is expected`,
        },
      ];

/** What counts as a change: states and verdicts, not counters. */
const shape = (sample: BgpSample | null) =>
  sample === null
    ? "none"
    : JSON.stringify([
        sample.daemon.reachable,
        sample.daemon.version,
        sample.faults,
        sample.sessions.map(({ name, state, verdict, why, expected }) => [
          name,
          state,
          verdict,
          expected,
          verdict === "ok" ? "" : why,
        ]),
      ]);
