/**
 * What the daemon itself cannot say. Since when, for a session that is not there and a daemon that does not answer: the time is that of the
 * first sample that saw it so; what was so already in the very first sample stays unknown. And what a session was before it went down.
 */
import type { BgpSample } from "@muster/protocol";
import type { BgpSession, BgpWas } from "@muster/protocol/telemetry/bgp";
import { routeCount } from "./judge.ts";

/** The sample with the times of the one before carried over where nothing has changed, and with what is down as it was. */
export function remember(sample: BgpSample, before: BgpSample | null): BgpSample {
  if (before === null) return sample;
  const now = { at: sample.at, exact: true };
  const known = new Map(before.sessions.map((session) => [session.name, session]));
  const { daemon } = sample;
  const gone = before.daemon.reachable ? now : before.daemon.since;
  return {
    ...sample,
    daemon: daemon.reachable ? daemon : { ...daemon, since: gone },
    sessions: sample.sessions.map((session) => {
      const last = known.get(session.name);
      const was = last === undefined ? null : wasOf(session, last, before.at);
      if (session.since.at !== null) return { ...session, was };
      return { ...session, was, since: last?.verdict === session.verdict ? last.since : now };
    }),
  };
}

/** `last` is the same session in the sample before, of the instant `seen_at`. */
function wasOf(session: BgpSession, last: BgpSession, seen_at: string): BgpWas | null {
  if (session.state === "established") return null;
  if (last.state !== "established") return last.was;
  const { at } = last.since;
  return {
    up_ms: at === null ? null : Math.max(0, Date.parse(seen_at) - Date.parse(at)),
    imported: routeCount(last, "imported"),
    exported: routeCount(last, "exported"),
  };
}
