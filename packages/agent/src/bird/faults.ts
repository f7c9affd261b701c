/**
 * What is wrong beside the sessions' own verdicts: limits that are reached, origin validation without data, dead paths, neighbours of the inner protocols
 * that are not there. Judged here and nowhere else. The sentences hold no figure that changes by itself: a fault is the same while its words are.
 */
import { atLimitText, type BgpFault, type BgpSample, type BgpSession } from "@muster/protocol/telemetry/bgp";
import type { InnerNeighbor } from "@muster/protocol/telemetry/routing";

const MOST = 50;
/** Babel's word for a neighbour that hears nothing. */
const UNUSABLE = 65_535;
const SETTLED = ["full", "2-way", "ptp"];

type Looked = Pick<BgpSample, "sessions" | "faults" | "rpki" | "roa_tables" | "bfd" | "neighbors">;

/** With those that the look itself has found. Red first; at most fifty. */
export function faultsOf(looked: Looked): BgpFault[] {
  const all = [
    ...looked.faults,
    ...looked.roa_tables.flatMap(({ table, roas }) =>
      roas > 0
        ? []
        : [
            fault(
              "red",
              `ROA table ${table} is empty: a filter on "invalid" lets everything pass, one on "valid" nothing`,
            ),
          ],
    ),
    ...looked.rpki.flatMap(({ name, state, server, last_update_s }) => {
      if (state === "established") return [];
      const data = last_update_s === null ? "it has given no data" : "its last data runs out";
      return [fault("amber", `RPKI ${name}${server === null ? "" : ` (${server})`} is ${state}: ${data}`)];
    }),
    ...looked.sessions.flatMap(limitFaults),
    ...looked.bfd.flatMap(({ address, interface: found, state }) =>
      state === "up" || state === "admindown"
        ? []
        : [
            fault(
              "amber",
              `BFD with ${address}${found === null ? "" : ` on ${found}`} is ${state}`,
              looked.sessions.find((session) => session.neighbor_address === address)?.name,
            ),
          ],
    ),
    ...looked.neighbors.flatMap((neighbor) => {
      const words = lost(neighbor);
      return words === null ? [] : [fault("amber", words)];
    }),
  ];
  return all
    .sort((one, other) => Number(one.colour === "amber") - Number(other.colour === "amber"))
    .slice(0, MOST);
}

const fault = (colour: BgpFault["colour"], what: string, session?: string): BgpFault => ({
  ...{ colour, what },
  session: session ?? null,
});

function limitFaults({ name, channels }: BgpSession): BgpFault[] {
  return channels.flatMap(({ family, limits }) =>
    limits
      .filter(({ hit }) => hit)
      .map((limit) => {
        const then = atLimitText(limit);
        const what = `${name} has reached its ${limit.direction} limit of ${limit.limit} on ${family}`;
        return fault("amber", then === "" ? what : `${what}: ${then}`, name);
      }),
  );
}

/** What is wrong with a neighbour of OSPF or Babel; null if nothing is. */
function lost({ kind, protocol, address, interface: found, state, metric }: InnerNeighbor): string | null {
  if (kind === "babel")
    return metric === UNUSABLE
      ? `Babel ${protocol}: ${address} on ${found} cannot be used, it hears nothing of us`
      : null;
  const [word = ""] = (state ?? "").toLowerCase().split("/");
  return SETTLED.includes(word) ? null : `OSPF ${protocol}: ${address} on ${found} is ${state ?? "unknown"}`;
}
