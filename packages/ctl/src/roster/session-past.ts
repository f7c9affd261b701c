/** What controllers keep of one BGP session: how it came and went, and its routes over time. */
import { callController } from "@muster/ports/call";
import type { FleetEvent } from "@muster/protocol/event";
import { bgpSeries, type Point, pointsOf } from "@muster/protocol/history";
import type { Connection } from "../session/session.ts";

/** Events are kept for months, numbers for two days. */
const EVENTS_BACK_MS = 90 * 86_400_000;
const EVENTS_LIMIT = 1_000;
const STEP_MS = 60_000;

export type SessionPast = {
  readonly host: string;
  readonly session: string;
  /** About this session, oldest first. */
  readonly events: readonly FleetEvent[];
  /** What was imported, one value a minute at most, oldest first, by the host's clock; null = not known then. */
  readonly routes: readonly { readonly at: number; readonly imported: number | null }[];
  /** So far back the routes were asked for. */
  readonly since: number;
};

/** Errors: those of a controller that does not answer, NOT_FOUND for a host that it does not know. */
export async function sessionPast(
  connection: Connection,
  asked: { readonly host: string; readonly session: string; readonly since: number; readonly now: number },
): Promise<SessionPast> {
  const { host, session, since, now } = asked;
  const [{ events }, points] = await Promise.all([
    callController(connection, "events", {
      ...{ since: now - EVENTS_BACK_MS, host, kind: "session", limit: EVENTS_LIMIT },
    }),
    importedPoints(connection, asked),
  ]);
  const series = bgpSeries(session);
  return {
    host,
    session,
    events: events.map(({ event }) => event).filter((event) => event.session === session),
    routes: points.map(({ at, numbers }) => ({ at, imported: numbers[series] ?? null })),
    since,
  };
}

async function importedPoints(
  connection: Connection,
  { host, session, since }: { readonly host: string; readonly session: string; readonly since: number },
): Promise<Point[]> {
  const points: Point[] = [];
  const series = [bgpSeries(session)];
  let after = 0;
  for (;;) {
    const asked = { host, kind: "bgp", since, step_ms: STEP_MS, series, after } as const;
    const { track, next } = await callController(connection, "history", asked);
    if (track !== null) points.push(...pointsOf(track));
    if (next === null) return points.sort((one, other) => one.at - other.at);
    after = next;
  }
}
