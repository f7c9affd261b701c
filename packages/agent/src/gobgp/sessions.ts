/**
 * From GoBGP's peers to sessions, and from its RPKI servers. What GoBGP does not tell is null. Tried on 3.10 and 4.8.
 */
import { BlockList, isIP } from "node:net";
import type { BgpChannel, BgpState } from "@muster/protocol/telemetry/bgp";
import type { RpkiSession, Since } from "@muster/protocol/telemetry/routing";
import { type SeenSession, unsaid } from "../bird/session.ts";
import { exactSince, UNKNOWN_SINCE } from "../bird/since.ts";
import type { AfiSafi, Capability, Peer, Rpki } from "./messages.ts";

const STATES: readonly BgpState[] = [
  ...(["unknown", "idle", "connect", "active", "opensent", "openconfirm", "established"] as const),
];
/** Version 4 begins its enumerations one later: 0 there means that nothing was said. */
export type GobgpVersion = 3 | 4;
const ADMIN = ["up", "down", "prefix limit"] as const;

/** Of address family and subsequent one (RFC 4760), named as the other daemons name them. */
const FAMILIES: Readonly<Record<string, string>> = {
  "1/1": "ipv4",
  "1/2": "ipv4-mc",
  "1/4": "ipv4-mpls",
  "1/128": "vpn4-mpls",
  "1/133": "flow4",
  "2/1": "ipv6",
  "2/2": "ipv6-mc",
  "2/4": "ipv6-mpls",
  "2/128": "vpn6-mpls",
  "2/133": "flow6",
  "25/70": "evpn",
};

/** The peer as GoBGP is to be asked for it: an interface for one without an address. */
export const nameOf = ({ conf }: Peer): string => conf?.neighbor_interface || conf?.neighbor_address || "";

/** One line a peer: it changes when a session goes, comes or is another one. */
export const rowOf = (peer: Peer): string =>
  [
    nameOf(peer),
    peer.state?.session_state,
    peer.state?.admin_state,
    peer.state?.flops,
    peer.timers?.state?.uptime?.seconds,
  ].join(" ");

/** @param advertised whether the counts of what is advertised were asked for */
export function sessionOf(
  peer: Peer,
  version: GobgpVersion,
  advertised: boolean,
  ranges: readonly string[],
): SeenSession {
  const { conf, state, timers, transport } = peer;
  const word = STATES[state?.session_state ?? 0] ?? "unknown";
  const up = word === "established";
  const admin = ADMIN[(state?.admin_state ?? 0) - (version === 4 ? 1 : 0)] ?? "up";
  const internal = state?.type === (version === 4 ? 1 : 0);
  const at = up ? timers?.state?.uptime : timers?.state?.downtime;
  const address = state?.neighbor_address || conf?.neighbor_address || null;
  const port = transport?.remote_port ?? 0;
  return {
    ...unsaid({
      name: nameOf(peer),
      state: word,
      protocol_state: up ? "up" : admin === "up" ? "start" : "down",
      since: sinceOf(at?.seconds),
      info: admin === "down" ? "shut down on purpose" : null,
    }),
    neighbor_address: address,
    neighbor_as: state?.peer_asn || conf?.peer_asn || null,
    neighbor_id: known(state?.router_id),
    neighbor_port: port === 0 || port === 179 ? null : port,
    local_as: state?.local_asn || conf?.local_asn || null,
    source_address: up ? known(transport?.local_address) : null,
    session_type: `${internal ? "internal" : "external"}${peer.ebgp_multihop?.enabled ? " multihop" : ""}`,
    description: conf?.description || null,
    last_error: admin === "prefix limit" ? "the peer sent more prefixes than its limit" : null,
    dynamic: address !== null && isWithin(address, ranges),
    messages: {
      received: countsOf(state?.messages?.received),
      sent: countsOf(state?.messages?.sent),
    },
    local_capabilities: up ? (state?.local_cap.flatMap(capabilityOf) ?? []) : [],
    neighbor_capabilities: up ? (state?.remote_cap.flatMap(capabilityOf) ?? []) : [],
    channels: peer.afi_safis
      .filter(({ config }) => config?.enabled !== false)
      .map((each) => channelOf(each, up, advertised, admin === "prefix limit")),
  };
}

/** A word of Go's for what is not there is no address. */
export const known = (text: string | undefined): string | null =>
  text === undefined || isIP(text) === 0 || /^[0.:]+$/.test(text) ? null : text;

const sinceOf = (seconds: number | undefined): Since =>
  seconds === undefined || seconds === 0 ? UNKNOWN_SINCE : exactSince(seconds * 1_000);

type Counted = NonNullable<NonNullable<NonNullable<Peer["state"]>["messages"]>["received"]>;
const countsOf = (counted: Counted | null | undefined) => ({
  updates: counted?.update ?? 0,
  notifications: counted?.notification ?? 0,
  total: counted?.total ?? 0,
});

/** `type.googleapis.com/apipb.RouteRefreshCapability`, or the name of the field that is there, as `route refresh`. */
function capabilityOf({ type_url, ...fields }: Capability): string[] {
  const [named] = Object.entries(fields).find(([, there]) => there) ?? [""];
  const word = /\.(\w+?)(?:Capability)?$/.exec(type_url)?.[1] ?? named;
  const plain = word
    .replace(/[a-z](?=[A-Z])/g, "$&_")
    .replaceAll("_", " ")
    .toLowerCase();
  return plain === "" ? [] : [plain];
}

function channelOf(
  { config, state, prefix_limits }: AfiSafi,
  up: boolean,
  advertised: boolean,
  hit: boolean,
) {
  const limit = prefix_limits?.max_prefixes ?? 0;
  const key = `${config?.family?.afi ?? 0}/${config?.family?.safi ?? 0}`;
  return {
    family: FAMILIES[key] ?? `afi ${key.replace("/", " safi ")}`,
    state: up ? "up" : "down",
    import_state: null,
    export_state: null,
    preference: null,
    table: null,
    import_filter: null,
    export_filter: null,
    imported: up ? (state?.accepted ?? 0) : null,
    filtered: up ? Math.max(0, (state?.received ?? 0) - (state?.accepted ?? 0)) : null,
    exported: up && advertised ? (state?.advertised ?? 0) : null,
    preferred: null,
    limits: limit === 0 ? [] : [{ direction: "receive", limit, action: "disable", hit }],
    next_hop: null,
    pending: null,
    counters: null,
  } satisfies BgpChannel;
}

function isWithin(address: string, ranges: readonly string[]): boolean {
  const list = new BlockList();
  const family = (of: string) => (of.includes(":") ? "ipv6" : "ipv4");
  for (const range of ranges) {
    const [net = "", length = ""] = range.split("/");
    if (isIP(net) !== 0) list.addSubnet(net, Number(length), family(net));
  }
  const [bare = ""] = address.split("%");
  return isIP(bare) !== 0 && list.check(bare, family(bare));
}

/** Data of a server that is away are kept, so when it was last heard is when they were new at the latest. */
export function rpkiOf({ conf, state }: Rpki, now_ms: number): RpkiSession {
  const up = state?.up === true;
  const away_s = state?.downtime?.seconds ?? 0;
  const had_data = (state?.end_of_data ?? 0) > 0;
  const server = `${conf?.address} port ${conf?.remote_port}`;
  return {
    name: server,
    state: up ? "established" : "down",
    since: sinceOf(up ? state?.uptime?.seconds : away_s),
    server,
    transport: null,
    serial: had_data ? (state?.serial ?? null) : null,
    last_update_s: up || !had_data || away_s === 0 ? null : Math.round(now_ms / 1_000) - away_s,
    expire_timer: null,
    roas: had_data ? (state?.record_ipv4 ?? 0) + (state?.record_ipv6 ?? 0) : null,
  };
}
