/**
 * Since when, for what the daemon itself cannot say: a session that is not there, and a daemon that does not answer. The time is that of
 * the first sample that saw it so; what was so already in the very first sample stays unknown.
 */
import type { BgpSample } from "@muster/protocol";

/** The sample with the times of the one before carried over where nothing has changed. */
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
      if (session.since.at !== null) return session;
      const last = known.get(session.name);
      return { ...session, since: last?.verdict === session.verdict ? last.since : now };
    }),
  };
}
