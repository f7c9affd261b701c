/** FRR's bgpd (and bfdd, ospfd, ospf6d and babeld beside it) on this host, read over its vty: the same questions as to BIRD, and no process for any of them. */
import { stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { BgpSample } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import { advanceFlaps, emptyFlaps, flapCount } from "../bird/flaps.ts";
import { unjudged } from "../bird/judge.ts";
import { UNKNOWN_SINCE } from "../bird/since.ts";
import { NOTHING_BESIDE } from "../bird/survey.ts";
import { frrBfd, frrRpki, unwatched } from "../frr/beside.ts";
import { babelNeighbors, ospf6Neighbors, ospfNeighbors } from "../frr/inner.ts";
import { objectOf } from "../frr/json.ts";
import { frrMemory } from "../frr/memory.ts";
import { frrSessions } from "../frr/neighbors.ts";
import { frrLooks } from "../frr/parts.ts";
import type { Routing } from "./routing.ts";
import { nobodyListens } from "./socket-identity.ts";
import { connectVty } from "./vty.ts";

/** What the collector asks of a routing daemon. */
export type Speaker = Pick<Routing, "survey" | "table" | "exported"> & {
  /** The prefixes that it originates, where that stands in no file. Errors: those of the daemon. */
  originated?(signal: AbortSignal): Promise<readonly string[]>;
};
export type Frr = Speaker & {
  /** Whether its socket is there. */
  present(): Promise<boolean>;
};

const REPLY_LIMIT_MS = 10_000;
/** A neighbour takes 4 kB. */
const MAX_REPLY_BYTES = 32 * 1024 * 1024;
const MOST_CACHES = 100;
const MOST_PEERS = 5_000;
/** Readers take no more rows than this. */
const MOST_NEIGHBORS = 10_000;

/** Makes the port; nothing is opened before the first call. `signal` is its lifetime. */
export function createFrr(
  options: { readonly socketPath: string; readonly now?: () => number; readonly reply_ms?: number },
  signal: AbortSignal,
): Frr {
  const { socketPath, now = Date.now, reply_ms = REPLY_LIMIT_MS } = options;
  const limits = { timeout_ms: reply_ms, max_reply_bytes: MAX_REPLY_BYTES };
  const vty = connectVty({ socketPath, ...limits }, signal);
  const clocks = () => ({ day_ms: now(), steady_ms: performance.now() });
  /** Where no such daemon runs, FRR has no such part. */
  const beside = (file: string, first?: "enable") => {
    const path = join(dirname(socketPath), file);
    const to = { ...limits, socketPath: path, timeout_ms: reply_ms / 2 };
    const connection = connectVty(first === undefined ? to : { ...to, first }, signal);
    return async (command: string): Promise<string> => {
      try {
        return await connection.command(command);
      } catch (error) {
        if (!nobodyListens(error, "FRR_UNREACHABLE")) throw error;
        throw new FleetError("UNSUPPORTED", `nobody listens on ${path}`, { cause: error });
      }
    };
  };
  const bfdd = beside("bfdd.vty", "enable");
  const [ospfd, ospf6d, babeld] = [beside("ospfd.vty"), beside("ospf6d.vty"), beside("babeld.vty")];
  const caches_heard = new Map<string, number>();
  const looks = frrLooks(() => performance.now());
  let flaps = emptyFlaps(clocks());
  let places: ReturnType<typeof frrSessions>["places"] = new Map();

  const sessions = async () => {
    const text = await vty.command("show bgp vrf all neighbors json");
    const instants = clocks();
    return { ...frrSessions(text, instants.day_ms), instants };
  };
  const rpki = async () => {
    const servers = vty.command("show rpki cache-server json");
    const connections = vty.command("show rpki cache-connection json");
    return frrRpki(...(await Promise.all([servers, connections])), caches_heard, now());
  };

  const ospf6 = async () => {
    const command = "show ipv6 ospf6 neighbor";
    return ospf6Neighbors(
      ...(await Promise.all([ospf6d(`${command} json`), ospf6d(`${command} detail json`)])),
    );
  };

  return {
    present: () => isSocket(socketPath),
    async survey(): Promise<BgpSample> {
      const look = looks();
      const [version, found, [memory_bytes = null], caches, told, ...neighbors] = await Promise.all([
        vty.command("show version"),
        sessions(),
        look.part("its memory", 1, async () => [frrMemory(await vty.command("show memory"))]),
        look.part("RPKI caches", MOST_CACHES, rpki),
        look.part("BFD", MOST_PEERS, async () => frrBfd(await bfdd("show bfd peers json"), now())),
        look.part("OSPF", MOST_PEERS, async () =>
          ospfNeighbors(await ospfd("show ip ospf vrf all neighbor json")),
        ),
        look.part("OSPFv3", MOST_PEERS, ospf6),
        look.part("Babel", MOST_PEERS, async () => babelNeighbors(await babeld("show babel neighbor"))),
      ]);
      const { router_id, with_bfd, instants } = found;
      const at_ms = instants.day_ms;
      places = found.places;
      flaps = advanceFlaps(flaps, found.sessions, instants);
      return {
        at: new Date(at_ms).toISOString(),
        daemon: {
          name: "frr",
          reachable: true,
          error: null,
          version: /^FRRouting (\S+)/.exec(version)?.[1] ?? null,
          router_id,
          since: UNKNOWN_SINCE,
          reconfigured: UNKNOWN_SINCE,
          state: "running",
          undo_in_s: null,
          memory_bytes,
        },
        sessions: found.sessions.map((session) => unjudged(session, flapCount(flaps, session.name, at_ms))),
        ...NOTHING_BESIDE,
        // Whichever answers first: the order says nothing.
        faults: [...look.faults].sort((one, other) => one.what.localeCompare(other.what)),
        rpki: caches,
        bfd: [...told, ...unwatched(with_bfd, told)],
        neighbors: neighbors.flat().slice(0, MOST_NEIGHBORS),
      };
    },
    async table() {
      const states: string[] = [];
      for (const [vrf, families] of Object.entries(
        objectOf(await vty.command("show bgp vrf all summary json")),
      ))
        for (const [family, { peers }] of Object.entries(families as Record<string, { peers?: object }>))
          for (const [name, peer] of Object.entries(peers ?? {})) {
            const { state, connectionsEstablished, connectionsDropped } = peer as Record<string, unknown>;
            states.push([vrf, family, name, state, connectionsEstablished, connectionsDropped].join(" "));
          }
      return states.join("\n");
    },
    async exported(session, prefixes) {
      const { vrf, peer } = places.get(session) ?? { vrf: "default", peer: session };
      const found = await Promise.all(
        prefixes.map(async (prefix) => {
          const family = prefix.includes(":") ? "ipv6" : "ipv4";
          const of = vrf === "default" ? "" : `vrf ${vrf} `;
          const route = objectOf(await vty.command(`show bgp ${of}${family} unicast ${prefix} json`));
          const to = route.advertisedTo;
          return [prefix, typeof to === "object" && to !== null && Object.hasOwn(to, peer)] as const;
        }),
      );
      return Object.fromEntries(found);
    },
  };
}

async function isSocket(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isSocket();
  } catch {
    // Whatever hinders, there is no daemon that could be asked.
    return false;
  }
}
