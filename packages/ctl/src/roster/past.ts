/** What was kept of hosts' numbers, as an expression looks back at it: from the controllers, host by host, page by page, a few at a time. */
import { callController } from "@muster/ports/call";
import type { ControlReply } from "@muster/protocol/control/index";
import type { KeptColumn, Past } from "@muster/protocol/expression/window";
import { type HistoryKind, type Point, pointsOf } from "@muster/protocol/history";
import { KEPT } from "@muster/protocol/kept";
import type { Connection } from "../session/session.ts";

const AT_ONCE = 8;
/** By so much a host's clock may be off, and the time still be known whole. */
const SLACK_MS = 60_000;

type Wanted = KeptColumn & { readonly window_ms: number };

/** By host. Errors: NO_RESPONDER without a controller, TIMEOUT. */
export async function pastOf(
  connection: Connection,
  hosts: readonly string[],
  wanted: readonly Wanted[],
  now_ms: number,
): Promise<ReadonlyMap<string, Past>> {
  const tracks = new Map<HistoryKind, { series: Set<string>; window_ms: number }>();
  for (const { track, name, each, window_ms } of wanted) {
    const held = tracks.get(track) ?? { series: new Set(), window_ms: 0 };
    held.series.add(each === true ? `${name} *` : name);
    held.window_ms = Math.max(held.window_ms, window_ms);
    tracks.set(track, held);
  }
  const found = new Map<string, Past>();
  const waiting = [...hosts];
  const work = async () => {
    for (let host = waiting.shift(); host !== undefined; host = waiting.shift()) {
      const points = new Map<HistoryKind, Point[]>();
      for (const [track, { series, window_ms }] of tracks) {
        const since = now_ms - window_ms - 2 * KEPT[track].every_ms - SLACK_MS;
        points.set(track, await pointsSince(connection, host, track, [...series], since));
      }
      found.set(host, (track) => points.get(track));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return found;
}

async function pointsSince(
  connection: Connection,
  host: string,
  kind: HistoryKind,
  series: string[],
  since: number,
): Promise<Point[]> {
  const points: Point[] = [];
  let after: number | null = 0;
  do {
    const page: ControlReply<"history"> = await callController(connection, "history", {
      ...{ host, kind, since: Math.max(0, since), step_ms: null, series, after },
    });
    if (page.track !== null) points.push(...pointsOf(page.track));
    after = page.next;
  } while (after !== null);
  return points.sort((one, other) => one.at - other.at);
}
