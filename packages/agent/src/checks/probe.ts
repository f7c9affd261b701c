/**
 * Whether a measuring host measures. Four things must hold: a BGP session is up, it is sent the prefix that replies come back to, there are replies for what is
 * sent (held over an hour, since they come in bursts), and the broker takes the results. One that sends into nothing looks busy and well to everything else.
 */
import type { BgpSample } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import { durationMs } from "@muster/protocol/resources/amount";
import type { Probe } from "@muster/protocol/resources/check";
import { type BgpSession, daemonTitle } from "@muster/protocol/telemetry/bgp";
import type { ProbeReason } from "@muster/protocol/telemetry/checks";
import { speakerOf } from "../collectors/speaker.ts";
import { CounterWindow, type Counts, counterIn, type Rise } from "./counters.ts";
import { bodyOf, get } from "./http.ts";
import { answersKafka } from "./kafka.ts";
import { type Answer, type CheckDoor, type MakeWay, plain, wordsOf } from "./way.ts";

const COUNTERS_BYTES = 4 * 1024 * 1024;
/** A broker that took nothing for so long, while there were replies, takes nothing. */
const ACCEPTS_MS = 600_000;

type Told = Omit<ProbeReason, "name">;
const holds = (why: string): Told => ({ ok: true, why });
const fails = (why: string): Told => ({ ok: false, why });
const unknown = (why: string): Told => ({ ok: null, why });

export const probe: MakeWay = ({ probe: spec }, door) => {
  if (spec === undefined) throw new Error("a check of another way");
  const window = new CounterWindow(durationMs(spec.window));
  return async (signal) => {
    const [session, counted, answer] = await Promise.all([
      routes(spec, door, signal),
      count(spec, door, signal),
      spec.broker === undefined ? null : answersKafka(spec.broker, signal),
    ]);
    if (typeof counted !== "string") window.add(door.ports.now(), counted);
    const replies = typeof counted === "string" ? unknown(counted) : repliesOf(spec, window, counted);
    const broker = brokerOf(spec, answer, counted, window);
    const all = { ...session, replies, broker };
    return verdict(
      (["session", "prefix", "replies", "broker"] as const).map((name) => ({
        name,
        ok: all[name].ok,
        why: plain(all[name].why),
      })),
    );
  };
};

/** Down when one of them does not hold; up only when all do. */
export function verdict(reasons: readonly ProbeReason[]): Answer {
  const words = (ok: false | null) =>
    reasons
      .filter((reason) => reason.ok === ok)
      .map(({ name, why }) => `${name}: ${why}`)
      .join("; ");
  if (reasons.some(({ ok }) => ok === false)) return { ok: false, why: plain(words(false)), reasons };
  if (reasons.some(({ ok }) => ok === null)) return { ok: null, why: plain(words(null)), reasons };
  return { ok: true, latency_ms: null, reasons };
}

async function routes(
  spec: Probe,
  door: CheckDoor,
  signal: AbortSignal,
): Promise<{ session: Told; prefix: Told }> {
  const sample = door.bgp();
  const told = sessionOf(spec, sample);
  const up = sample === null ? [] : candidates(spec, sample).filter(({ state }) => state === "established");
  if (sample === null || told.ok !== true)
    return {
      session: told,
      prefix:
        told.ok === null
          ? unknown("not known without a session")
          : fails("no session is up that could be sent it"),
    };
  const sent = await Promise.all(up.map((session) => isSent(session, spec.prefix, sample, door, signal)));
  const names = (ok: boolean | null) =>
    up
      .filter((_, at) => sent[at] === ok)
      .map(({ name }) => name)
      .join(", ");
  if (sent.includes(true)) return { session: told, prefix: holds(`sent to ${names(true)}`) };
  const why = `${spec.prefix} is not sent to ${names(false)}`;
  return {
    session: told,
    prefix: sent.includes(null) ? unknown(`${daemonTitle(sample.daemon.name)} does not say`) : fails(why),
  };
}

function candidates({ sessions }: Probe, sample: BgpSample): BgpSession[] {
  return sample.sessions.filter(({ name, expected }) =>
    sessions === undefined ? expected === "up" : sessions.includes(name),
  );
}

export function sessionOf(spec: Probe, sample: BgpSample | null): Told {
  if (sample === null) return unknown("there is no routing daemon here, or it was not asked yet");
  const { daemon } = sample;
  if (!daemon.reachable)
    return fails(`${daemonTitle(daemon.name)} does not answer: ${daemon.error ?? "unknown"}`);
  const all = candidates(spec, sample);
  const up = all.filter(({ state }) => state === "established").map(({ name }) => name);
  if (up.length > 0) return holds(`${up.slice(0, 5).join(", ")} up`);
  if (all.length === 0)
    return fails(`there is no session ${spec.sessions?.join(", ") ?? "that is expected up"}`);
  return fails(
    all
      .slice(0, 5)
      .map(({ name, state, why }) => `${name} ${why === "" ? state : why}`)
      .join(", "),
  );
}

async function isSent(
  session: BgpSession,
  prefix: string,
  sample: BgpSample,
  door: CheckDoor,
  signal: AbortSignal,
): Promise<boolean | null> {
  const known = session.exports.find((each) => each.prefix === prefix);
  if (known !== undefined) return known.exported;
  try {
    const speaker = speakerOf(door.ports, sample.daemon.name);
    return (await speaker?.exported(session.name, [prefix], signal))?.[prefix] ?? null;
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    return null;
  }
}

/** The counters now, or why they cannot be had. */
async function count({ counters }: Probe, door: CheckDoor, signal: AbortSignal): Promise<Counts | string> {
  let text: string;
  try {
    if (counters.file !== undefined) {
      const file = await door.ports.files.read(counters.file, COUNTERS_BYTES);
      if (file === null) return `there is no ${counters.file}`;
      text = file.toString("utf8");
    } else {
      const url = new URL(counters.url ?? "");
      text = await get(url, { signal }, async (response) => {
        if (response.statusCode !== 200) throw new Error(`${counters.url} answers ${response.statusCode}`);
        return bodyOf(response, COUNTERS_BYTES);
      });
    }
  } catch (error) {
    if (error instanceof FleetError) return error.detail;
    return `the counters cannot be had: ${wordsOf(error)}`;
  }
  const [sent, received] = [counterIn(text, counters.sent), counterIn(text, counters.received)];
  const accepted = counters.accepted === undefined ? null : counterIn(text, counters.accepted);
  // An exporter that answers and counts nothing is blind, not idle.
  if (sent === null) return `no ${counters.sent} among the counters`;
  if (received === null) return `no ${counters.received} among the counters`;
  if (counters.accepted !== undefined && accepted === null)
    return `no ${counters.accepted} among the counters`;
  return { sent, received, accepted };
}

/** Until half a window is seen, what was counted since the daemon's start stands in for it. */
export function repliesOf(spec: Probe, window: CounterWindow, since_start: Counts): Told {
  const window_ms = durationMs(spec.window);
  const seen = window.over(window_ms);
  if (seen.over_ms < window_ms / 2 && since_start.sent >= spec.sent_min)
    return ratio(spec, since_start, "since its start");
  if (seen.sent >= spec.sent_min) return ratio(spec, seen, `in ${span(seen.over_ms)}`);
  return unknown(`${seen.sent} probes sent in ${span(seen.over_ms)}: too few to tell (${spec.sent_min})`);
}

function ratio(spec: Probe, { sent, received }: Pick<Rise, "sent" | "received">, when: string): Told {
  const words = `${received} replies to ${sent} probes ${when}`;
  return received / sent >= spec.replies_min
    ? holds(words)
    : fails(`${words}, ${spec.replies_min} of each asked for`);
}

function brokerOf(spec: Probe, answer: string | null, counted: Counts | string, window: CounterWindow): Told {
  if (spec.broker !== undefined && answer !== null) return fails(`${spec.broker}: ${answer}`);
  if (spec.counters.accepted === undefined) return holds(`${spec.broker} answers`);
  return typeof counted === "string" ? unknown(counted) : acceptedOf(spec, window, counted);
}

/** As with replies: until something was seen, what was counted since the daemon's start stands in for it. */
export function acceptedOf(spec: Probe, window: CounterWindow, since_start: Counts): Told {
  const lately = window.over(ACCEPTS_MS);
  const seen = window.over(durationMs(spec.window));
  const [took, young] = [seen.accepted ?? 0, lately.over_ms < ACCEPTS_MS / 2];
  const refused = (received: number, when: string) => fails(`took none of ${received} replies ${when}`);
  if (!young && lately.received > 0 && lately.accepted === 0)
    return refused(lately.received, `in ${span(lately.over_ms)}`);
  if (took > 0) return holds(`took ${took} in ${span(seen.over_ms)}`);
  if (young && (since_start.accepted ?? 0) > 0) return holds(`took ${since_start.accepted} since its start`);
  if (young && since_start.received > 0) return refused(since_start.received, "since its start");
  if (!young && seen.received > 0) return refused(seen.received, `in ${span(seen.over_ms)}`);
  const idle = `nothing to take in ${span(seen.over_ms)}`;
  // That it answers is all that can be known then.
  return spec.broker === undefined ? unknown(idle) : holds(`${spec.broker} answers, ${idle}`);
}

const span = (ms: number) =>
  ms < 120_000 ? `${Math.round(ms / 1_000)} s` : `${Math.round(ms / 60_000)} min`;
