/** What the page asks controllers for page by page: last samples, and numbers over time. All instants are those of the controllers' clock. */
import { type Point, pointsOf } from "@muster/protocol/history";
import { type FaultyKind, type Sample, TELEMETRY } from "@muster/protocol/telemetry/index";
import type { PageAnswer, PageBus } from "./bus.ts";
import { type Past, routesOf, STEP_MS, type TrackName } from "./history.ts";
import type { Kept } from "./samples.ts";

const HOSTS_A_PAGE = 200;

/** Last samples of one host, or with null of every host. What cannot be read is left out. Errors: no controller answers. */
export async function askSamples<K extends FaultyKind>(
  bus: Pick<PageBus, "ask">,
  kind: K,
  host: string | null,
): Promise<ReadonlyMap<string, Kept<K>>> {
  const found = new Map<string, Kept<K>>();
  const one = host === null ? {} : { host };
  let after: string | null = null;
  do {
    const page: PageAnswer<"last"> = await bus.ask("last", { kind, after, limit: HOSTS_A_PAGE, ...one });
    for (const { host: name, heard_at, sample } of page.values) {
      const read = TELEMETRY[kind].sample.safeParse(sample);
      if (read.success) found.set(name, { heard_at, sample: read.data as Sample<K> });
    }
    after = page.next;
  } while (after !== null);
  return found;
}

/** What controllers keep of a host. `ours_ms`: from the host's clock to the controllers'. Errors: no controller answers. */
export async function askPast(
  bus: Pick<PageBus, "ask">,
  of: {
    readonly host: string;
    readonly track: TrackName;
    readonly sessions: readonly string[] | null;
    readonly since: number;
  },
  ours_ms: number,
): Promise<Past> {
  const { host, track, since } = of;
  const series = track === "health" ? null : (of.sessions?.map(routesOf) ?? ["imported", "exported", "up"]);
  const kind = track === "sessions" ? "bgp" : track;
  const points: Point[] = [];
  const spans: { from: number; to: number }[] = [];
  let after: number | null = 0;
  while (after !== null) {
    const page: PageAnswer<"history"> = await bus.ask("history", {
      ...{ host, kind, since, series, after },
      step_ms: STEP_MS,
    });
    spans.push(...page.late);
    if (page.track !== null) points.push(...pointsOf(page.track));
    after = page.next;
  }
  return {
    points: points
      .map(({ at, numbers }) => ({ at: at + ours_ms, numbers }))
      .sort((one, other) => one.at - other.at),
    late: spans.map(({ from, to }) => ({ from: from + ours_ms, to: to + ours_ms })),
  };
}
