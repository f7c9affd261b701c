/** Sessions whose far end is a host of the fleet that is drained: meant so, as its own are. Known by the addresses that it tells while it is. Pure. */
import { asDrained, drainText } from "@muster/protocol/drained";
import type { BgpSession } from "@muster/protocol/telemetry/bgp";
import type { Convergence } from "@muster/protocol/telemetry/convergence";

/** The hosts that are drained, by each of their addresses, with the words for it. */
export type Drains = ReadonlyMap<string, { readonly host: string; readonly words: string }>;

export function drainsOf(
  hosts: Iterable<{ readonly name: string; readonly convergence: Convergence | null }>,
  now_ms: number,
): Drains {
  const drains = new Map<string, { host: string; words: string }>();
  for (const { name, convergence } of hosts) {
    const drained = convergence?.drained ?? null;
    if (drained === null) continue;
    const words = `${name} is ${drainText(drained, now_ms)}`;
    for (const address of drained.addresses ?? []) drains.set(address, { host: name, words });
  }
  return drains;
}

/** The sessions of `host` as they are judged by who sees the others too; the very same where that changes nothing. */
export function judgedWith(
  drains: Drains,
  host: string,
  sessions: readonly BgpSession[],
): readonly BgpSession[] {
  const isDrained = ({ neighbor_address }: BgpSession) => {
    const drain = drains.get(neighbor_address ?? "");
    return drain !== undefined && drain.host !== host;
  };
  if (!sessions.some(isDrained)) return sessions;
  return sessions.map((session) =>
    isDrained(session)
      ? asDrained(session, drains.get(session.neighbor_address ?? "")?.words ?? "")
      : session,
  );
}
