/**
 * Why a peer went down. GoBGP 3 and 4 do not tell it with their peers, but count the notifications of each: which of them grew as the peer fell says who ended it.
 * What stood in the notification is in GoBGP's log alone.
 */
import type { SeenSession } from "../bird/session.ts";

type Seen = {
  readonly up: boolean;
  readonly received: number;
  readonly sent: number;
  readonly reason: string | null;
};

export type Reasons = {
  /** The sessions with the reason as their last error; one that was down before the first look, and has had no notification since, has none. */
  with(sessions: readonly SeenSession[]): SeenSession[];
};

export function createReasons(): Reasons {
  let seen: ReadonlyMap<string, Seen> = new Map();
  return {
    with(sessions) {
      const now = new Map(sessions.map((session) => [session.name, looked(session, seen.get(session.name))]));
      seen = now;
      return sessions.map((session) => ({
        ...session,
        last_error: session.last_error ?? now.get(session.name)?.reason ?? null,
      }));
    },
  };
}

function looked({ state, protocol_state, messages }: SeenSession, before: Seen | undefined): Seen {
  const up = state === "established";
  const [received, sent] = [messages?.received.notifications ?? 0, messages?.sent.notifications ?? 0];
  const seen = { up, received, sent };
  // Shut down on purpose it says so by itself, and GoBGP counts anew.
  if (before === undefined || up || protocol_state === "down") return { ...seen, reason: null };
  if (received > before.received)
    return {
      ...seen,
      reason: before.up ? "the peer ended it by a notification" : "the peer refuses it by a notification",
    };
  if (sent > before.sent)
    return {
      ...seen,
      reason: before.up
        ? "GoBGP ended it by a notification, as when the hold time is over"
        : "GoBGP refuses what the peer offers",
    };
  return { ...seen, reason: before.up ? "the connection was lost" : before.reason };
}
