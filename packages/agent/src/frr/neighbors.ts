/** Reads FRR's `show bgp vrf all neighbors json` into sessions. Fields come and go with versions: what is not there is null. Tried on FRR 8.4. */
import { type BgpChannel, BgpState } from "@muster/protocol/telemetry/bgp";
import type { Timer } from "@muster/protocol/telemetry/routing";
import { z } from "zod";
import type { SeenSession } from "../bird/session.ts";
import { exactSince, UNKNOWN_SINCE } from "../bird/since.ts";
import { objectOf } from "./json.ts";

const Text = z.string().optional().catch(undefined);
const Whole = z.int().min(0).optional().catch(undefined);
const Flag = z.boolean().optional().catch(undefined);

const Family = z.looseObject({
  acceptedPrefixCounter: Whole,
  sentPrefixCounter: Whole,
  prefixAllowedMax: Whole,
  prefixAllowedMaxWarning: Flag,
  prefixAllowedRestartIntervalMsecs: Whole,
  routeMapForIncomingAdvertisements: Text,
  routeMapForOutgoingAdvertisements: Text,
});

const Stats = z.looseObject({
  updatesRecv: Whole,
  updatesSent: Whole,
  notificationsRecv: Whole,
  notificationsSent: Whole,
  totalRecv: Whole,
  totalSent: Whole,
});

const Peer = z.looseObject({
  remoteAs: Whole,
  localAs: Whole,
  nbrExternalLink: Flag,
  nbrDesc: Text,
  adminShutDown: Flag,
  remoteRouterId: Text,
  localRouterId: Text,
  bgpState: z.string(),
  bgpNeighborAddr: Text,
  bgpTimerUpEstablishedEpoch: Whole,
  bgpTimerLastRead: Whole,
  bgpTimerLastWrite: Whole,
  bgpTimerHoldTimeMsecs: Whole,
  bgpTimerKeepAliveIntervalMsecs: Whole,
  neighborCapabilities: z.record(z.string(), z.unknown()).optional().catch(undefined),
  addressFamilyInfo: z.record(z.string(), Family).optional().catch(undefined),
  connectionsEstablished: Whole,
  connectionsDropped: Whole,
  lastResetTimerMsecs: Whole,
  lastResetDueTo: Text,
  lastNotificationReason: Text,
  lastShutdownDescription: Text,
  externalBgpNbrMaxHopsAway: Whole,
  hostLocal: Text,
  messageStats: Stats.optional().catch(undefined),
  peerBfdInfo: z.looseObject({}).optional().catch(undefined),
  nextConnectTimerDueInMsecs: Whole,
  connectRetryTimer: Whole,
  dynamicPeer: Flag,
});
type Peer = z.infer<typeof Peer>;

export type FrrSessions = {
  readonly sessions: readonly SeenSession[];
  readonly router_id: string | null;
  /** Where each session is, as FRR is to be asked for it. */
  readonly places: ReadonlyMap<string, { readonly vrf: string; readonly peer: string }>;
  /** Those that have BFD. */
  readonly with_bfd: readonly SeenSession[];
};

const FAMILIES: Readonly<Record<string, string>> = { ipv4Unicast: "ipv4", ipv6Unicast: "ipv6" };
const STATES: ReadonlySet<string> = new Set(BgpState.unwrap().options);

/** Sessions of every VRF, named by their peer (in a VRF of its own: `VRF:peer`). @throws FRR_REPLY for what is no such answer */
export function frrSessions(text: string, now_ms: number): FrrSessions {
  const sessions: SeenSession[] = [];
  const with_bfd: SeenSession[] = [];
  const places = new Map<string, { vrf: string; peer: string }>();
  let router_id: string | null = null;
  for (const [vrf, peers] of Object.entries(objectOf(text))) {
    if (typeof peers !== "object" || peers === null) continue;
    for (const [name, given] of Object.entries(peers)) {
      const read = Peer.safeParse(given);
      // Beside the peers stand the VRF's own fields.
      if (!read.success) continue;
      router_id ??= read.data.localRouterId ?? null;
      const own = vrf === "default" ? name : `${vrf}:${name}`;
      places.set(own, { vrf, peer: name });
      const session = sessionOf(own, name, read.data, now_ms);
      sessions.push(session);
      if (read.data.peerBfdInfo !== undefined) with_bfd.push(session);
    }
  }
  return { sessions, router_id, places, with_bfd };
}

function sessionOf(name: string, key: string, peer: Peer, now_ms: number): SeenSession {
  const word = peer.bgpState.toLowerCase();
  const state = STATES.has(word) ? (word as BgpState) : word === "clearing" ? "idle" : "unknown";
  const up = state === "established";
  const hops = peer.externalBgpNbrMaxHopsAway ?? 1;
  const offered = Object.entries(peer.neighborCapabilities ?? {});
  return {
    name,
    state,
    protocol_state: up ? "up" : peer.adminShutDown === true ? "down" : "start",
    since: sinceOf(peer, up, now_ms),
    neighbor_address: peer.bgpNeighborAddr ?? key,
    neighbor_range: null,
    neighbor_as: peer.remoteAs || null,
    neighbor_id: peer.remoteRouterId === "0.0.0.0" ? null : (peer.remoteRouterId ?? null),
    neighbor_port: null,
    local_as: peer.localAs || null,
    source_address: peer.hostLocal === "Unknown" ? null : (peer.hostLocal ?? null),
    session_type: `${peer.nbrExternalLink === false ? "internal" : "external"}${hops > 1 ? " multihop" : ""}`,
    description: peer.nbrDesc ?? null,
    message: peer.lastShutdownDescription ?? null,
    last_error: up ? null : errorOf(peer),
    info: peer.adminShutDown === true ? "shut down by its configuration" : null,
    dynamic: peer.dynamicPeer === true,
    hold_timer: up ? timerOf(peer.bgpTimerHoldTimeMsecs, peer.bgpTimerLastRead) : null,
    keepalive_timer: up ? timerOf(peer.bgpTimerKeepAliveIntervalMsecs, peer.bgpTimerLastWrite) : null,
    send_hold_timer: null,
    connect_timer:
      peer.nextConnectTimerDueInMsecs === undefined
        ? null
        : { remaining_s: peer.nextConnectTimerDueInMsecs / 1_000, total_s: peer.connectRetryTimer ?? 0 },
    messages: messagesOf(peer.messageStats),
    tx_pending_bytes: null,
    local_capabilities: offered.filter(([, how]) => isSaid(how, "adv")).map(([what]) => what),
    neighbor_capabilities: offered.filter(([, how]) => isSaid(how, "rec")).map(([what]) => what),
    channels: Object.entries(peer.addressFamilyInfo ?? {}).map(([family, info]) =>
      channelOf(family, info, up),
    ),
  };
}

/** When it went down FRR tells as an age; a peer that never was up has none that means anything. */
function sinceOf(peer: Peer, up: boolean, now_ms: number): SeenSession["since"] {
  if (up && peer.bgpTimerUpEstablishedEpoch !== undefined)
    return exactSince(peer.bgpTimerUpEstablishedEpoch * 1_000);
  if (up || (peer.connectionsDropped ?? 0) === 0 || peer.lastResetTimerMsecs === undefined)
    return UNKNOWN_SINCE;
  // An age in whole seconds: rounded, the instant is nearly the same in every sample.
  return exactSince(Math.round((now_ms - peer.lastResetTimerMsecs) / 1_000) * 1_000);
}

/** FRR's reason of the last reset; before the first connection it is about the configuration and stale. */
function errorOf({ connectionsEstablished, lastResetDueTo, lastNotificationReason }: Peer): string | null {
  if (lastResetDueTo === undefined || (connectionsEstablished ?? 0) === 0)
    return lastNotificationReason ?? null;
  return lastNotificationReason === undefined
    ? lastResetDueTo
    : `${lastResetDueTo}: ${lastNotificationReason}`;
}

function timerOf(total_ms: number | undefined, passed_ms: number | undefined): Timer | null {
  if (total_ms === undefined || passed_ms === undefined) return null;
  return { remaining_s: (total_ms - passed_ms) / 1_000, total_s: total_ms / 1_000 };
}

function messagesOf(stats: z.infer<typeof Stats> | undefined): SeenSession["messages"] {
  if (stats === undefined) return null;
  return {
    received: {
      updates: stats.updatesRecv ?? null,
      notifications: stats.notificationsRecv ?? null,
      total: stats.totalRecv ?? null,
    },
    sent: {
      updates: stats.updatesSent ?? null,
      notifications: stats.notificationsSent ?? null,
      total: stats.totalSent ?? null,
    },
  };
}

/** `advertisedAndReceived`, or an object by family that holds such words as keys. */
function isSaid(how: unknown, word: "adv" | "rec"): boolean {
  const text = (typeof how === "string" ? how : JSON.stringify(how)).toLowerCase();
  return text.includes(word === "adv" ? "advertised" : "received");
}

function channelOf(family: string, info: z.infer<typeof Family>, up: boolean): BgpChannel {
  const imported = up ? (info.acceptedPrefixCounter ?? null) : null;
  const max = info.prefixAllowedMax;
  const action = info.prefixAllowedMaxWarning
    ? "warn"
    : info.prefixAllowedRestartIntervalMsecs === undefined
      ? "disable"
      : "restart";
  return {
    family: FAMILIES[family] ?? family,
    state: up ? "up" : "down",
    import_state: null,
    export_state: null,
    preference: null,
    table: null,
    import_filter: info.routeMapForIncomingAdvertisements ?? null,
    export_filter: info.routeMapForOutgoingAdvertisements ?? null,
    imported,
    filtered: null,
    exported: up ? (info.sentPrefixCounter ?? null) : null,
    preferred: null,
    limits:
      max === undefined
        ? []
        : [{ direction: "receive", limit: max, action, hit: imported !== null && imported >= max }],
    next_hop: null,
    pending: null,
    counters: null,
  };
}
