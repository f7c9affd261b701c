/** GoBGP asked over its gRPC API, on one connection that stays, and only to read: its peers, RPKI servers, and whether a prefix is sent. */
import type { BgpSample } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import { advanceFlaps, emptyFlaps, flapCount } from "../bird/flaps.ts";
import { unjudged } from "../bird/judge.ts";
import { UNKNOWN_SINCE } from "../bird/since.ts";
import { NOTHING_BESIDE } from "../bird/survey.ts";
import { ANSWERS, type Peer } from "../gobgp/messages.ts";
import { createReasons } from "../gobgp/reasons.ts";
import { type GobgpVersion, known, rowOf, rpkiOf, sessionOf } from "../gobgp/sessions.ts";
import type { Speaker } from "./frr.ts";
import type { GobgpOptions } from "./gobgp.ts";
import { connectGrpc, type GrpcAnswer } from "./grpc.ts";
import { type Message, messageOf, writer } from "./protobuf.ts";

const REPLY_LIMIT_MS = 10_000;
/** A peer takes 1 kB. */
const MAX_REPLY_BYTES = 32 * 1024 * 1024;
/** What it sends to each peer GoBGP counts by going through its table while everything else waits: only where that is short. */
const COUNTED_ROUTES = 100_000;
/** What it originates is searched for among all routes: only where they are few, and less often the more they are. */
const SEARCHED_ROUTES = 2_000;
const SEARCH_PERIOD_MS = 10_000;
const SEARCH_ROUTE_PERIOD_MS = 50;
const MOST_RPKI = 100;

const UNICAST = 1;
const OK = 0;
const NO_SUCH_METHOD = 12;
const SERVICES: Readonly<Record<GobgpVersion, string>> = {
  3: "/apipb.GobgpApi/",
  4: "/api.GoBgpService/",
};
/** The table of all routes, and that of what is sent to a peer. */
const ALL: Readonly<Record<GobgpVersion, number>> = { 3: 0, 4: 1 };
const SENT: Readonly<Record<GobgpVersion, number>> = { 3: 3, 4: 4 };
const AFI = { ipv4: 1, ipv6: 2 } as const;
const NOTHING = new Uint8Array();

type Method = keyof typeof ANSWERS;
type Answer<M extends Method> = Message<(typeof ANSWERS)[M]>;

/** As `createGobgp`. Errors: GOBGP_UNREACHABLE, GOBGP_REPLY. */
export function speakGobgp(options: GobgpOptions, signal: AbortSignal): Speaker {
  const { address, now = Date.now, reply_ms = REPLY_LIMIT_MS } = options;
  const grpc = connectGrpc({ address, timeout_ms: reply_ms, max_reply_bytes: MAX_REPLY_BYTES }, signal);
  let version: GobgpVersion = 3;
  const clocks = () => ({ day_ms: now(), steady_ms: performance.now() });
  let flaps = emptyFlaps(clocks());
  const reasons = createReasons();
  let routes = 0;
  let own: { readonly at_ms: number; readonly prefixes: readonly string[] } | null = null;

  /** Another version may run since the last question. */
  const call = async (method: Method, request: Uint8Array): Promise<GrpcAnswer> => {
    const answer = await grpc.call(SERVICES[version] + method, request);
    if (answer.status !== NO_SUCH_METHOD) return answer;
    const other = version === 3 ? 4 : 3;
    const second = await grpc.call(SERVICES[other] + method, request);
    if (second.status !== NO_SUCH_METHOD) version = other;
    return second;
  };
  const ask = async <M extends Method>(method: M, request: Uint8Array = NOTHING): Promise<Answer<M>[]> => {
    const { status, words, messages } = await call(method, request);
    if (status !== OK) throw new FleetError("GOBGP_REPLY", `${method}: ${words} (${status})`);
    return messages.map((each) => messageOf(ANSWERS[method], each) as Answer<M>);
  };
  const peers = async (advertised: boolean): Promise<Peer[]> => {
    const request = writer().uint32(16).bool(advertised).finish();
    return (await ask("ListPeer", request)).flatMap(({ peer }) => peer ?? []);
  };

  const paths = (table: number, peer: string, afi: number) => {
    const request = writer().uint32(8).uint32(table).uint32(18).string(peer);
    return request.uint32(26).fork().uint32(8).uint32(afi).uint32(16).uint32(UNICAST).ldelim();
  };

  const sends = async (peer: string, prefix: string): Promise<boolean | null> => {
    const request = paths(SENT[version], peer, prefix.includes(":") ? AFI.ipv6 : AFI.ipv4);
    request.uint32(34).fork().uint32(10).string(prefix).ldelim();
    const { status, messages } = await call("ListPath", request.finish());
    // It refuses for a peer that is not up.
    return status === OK ? messages.length > 0 : null;
  };

  /** Those that have a path of no neighbour. */
  const originatedIn = async (afi: number): Promise<string[]> => {
    const { status, messages } = await call("ListPath", paths(ALL[version], "", afi).finish());
    // It refuses for a family that it has no table of.
    if (status !== OK) return [];
    return messages.flatMap((each) => {
      const { destination } = messageOf(ANSWERS.ListPath, each);
      const local = destination?.paths.some(({ neighbor_ip }) => known(neighbor_ip) === null) ?? false;
      return local && destination !== null ? [destination.prefix] : [];
    });
  };

  return {
    async survey(): Promise<BgpSample> {
      // The first alone: it finds out which version answers.
      const listed = await peers(false);
      const accepted = listed.flatMap(({ afi_safis }) => afi_safis.map(({ state }) => state?.accepted ?? 0));
      routes = accepted.reduce((sum, count) => sum + count, 0);
      const counted = routes <= COUNTED_ROUTES;
      const [all, [about], dynamic, servers] = await Promise.all([
        counted ? peers(true) : listed,
        ask("GetBgp"),
        ask("ListDynamicNeighbor"),
        ask("ListRpki"),
      ]);
      const instants = clocks();
      const at_ms = instants.day_ms;
      const ranges = dynamic.flatMap(({ dynamic_neighbor }) => dynamic_neighbor?.prefix ?? []);
      const sessions = reasons.with(all.map((peer) => sessionOf(peer, version, counted, ranges)));
      const rpki = servers.flatMap(({ server }) => (server === null ? [] : [rpkiOf(server, at_ms)]));
      flaps = advanceFlaps(flaps, sessions, instants);
      return {
        at: new Date(at_ms).toISOString(),
        daemon: {
          name: "gobgp",
          reachable: true,
          error: null,
          // It tells nothing more of itself than which API it has.
          version: String(version),
          router_id: about?.global?.router_id || null,
          since: UNKNOWN_SINCE,
          reconfigured: UNKNOWN_SINCE,
          state: "running",
          undo_in_s: null,
          memory_bytes: null,
        },
        sessions: sessions.map((session) => unjudged(session, flapCount(flaps, session.name, at_ms))),
        ...NOTHING_BESIDE,
        rpki: rpki.slice(0, MOST_RPKI),
        // All servers fill one table.
        roa_tables:
          rpki.length === 0
            ? []
            : [{ table: "rpki", roas: rpki.reduce((sum, { roas }) => sum + (roas ?? 0), 0) }],
      };
    },
    async table() {
      return (await peers(false)).map(rowOf).sort().join("\n");
    },
    async originated() {
      if (routes > SEARCHED_ROUTES) return [];
      const now_ms = performance.now();
      const period_ms = Math.max(SEARCH_PERIOD_MS, routes * SEARCH_ROUTE_PERIOD_MS);
      if (own === null || now_ms - own.at_ms >= period_ms) {
        const found = await Promise.all([originatedIn(AFI.ipv4), originatedIn(AFI.ipv6)]);
        own = { at_ms: now_ms, prefixes: found.flat() };
      }
      return own.prefixes;
    },
    async exported(session, prefixes) {
      const found = await Promise.all(
        prefixes.map(async (prefix) => [prefix, await sends(session, prefix)] as const),
      );
      return Object.fromEntries(found);
    },
  };
}
