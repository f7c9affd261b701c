/** What is wrong with tunnels and their peers. Pure. */
import type { Fault } from "@muster/protocol/telemetry/fault";
import {
  HANDSHAKE_OLD_MS,
  type WireguardInterface,
  type WireguardPeer,
} from "@muster/protocol/telemetry/wireguard";
import type { PeerFacts, TunnelFile } from "../ports/wireguard.ts";

const ALLOWED = 64;
/** Looked at once a minute, and hands are shaken a little late now and then. */
const SPARE_MS = 30_000;

/** Only with a keepalive an old handshake means anything: without one nobody may have had anything to say. */
export function judgePeer(peer: PeerFacts, declared: boolean, now_ms: number): WireguardPeer {
  const { handshake_at, keepalive_s } = peer;
  const old = handshake_at === null || now_ms - handshake_at > HANDSHAKE_OLD_MS + SPARE_MS;
  const verdict = !old ? "ok" : keepalive_s === null ? "idle" : handshake_at === null ? "never" : "stale";
  return { ...peer, allowed_ips: peer.allowed_ips.slice(0, ALLOWED), declared, verdict };
}

/** One that stands in the file and not in the interface; `known`: the interface could be asked. */
export const missingPeer = (peer: TunnelFile["peers"][number], known: boolean): WireguardPeer => ({
  ...peer,
  declared: true,
  allowed_ips: [],
  handshake_at: null,
  rx_bytes: null,
  tx_bytes: null,
  keepalive_s: null,
  verdict: known ? "missing" : "unknown",
});

/** @param error why nothing is known of those that are there */
export function tunnelFaults(interfaces: readonly WireguardInterface[], error: string | null): Fault[] {
  const red = (what: string, about: string | null, since: number | null = null): Fault => ({
    ...{ colour: "red", what: what.slice(0, 500), about, ref: null, since },
  });
  const blind = error === null ? [] : [red(`nothing is known of its WireGuard peers: ${error}`, null)];
  return [
    ...blind,
    ...interfaces.flatMap((tunnel): Fault[] => {
      const { name, state, expected, peers } = tunnel;
      if (state === "missing")
        return [red(`tunnel ${name} starts at boot (wg-quick@${name}) and is not there`, name)];
      if (state === "down" && expected) return [red(`tunnel ${name} is down`, name)];
      if (state === "unknown" && error === null) return [red(`wg tells nothing of tunnel ${name}`, name)];
      return peers.flatMap((peer) => peerFault(name, peer, red) ?? []);
    }),
  ];
}

function peerFault(
  tunnel: string,
  { public_key, handshake_at, verdict }: WireguardPeer,
  red: (what: string, about: string, since?: number | null) => Fault,
): Fault | null {
  const key = public_key.slice(0, 10);
  const who = `${tunnel}: peer ${key}…`;
  const about = `${tunnel} ${key}`;
  switch (verdict) {
    case "missing":
      return red(`${who} stands in ${tunnel}.conf and not in the tunnel`, about);
    case "never":
      return red(`${who} never answered`, about);
    case "stale":
      return red(`${who} does not answer any more`, about, handshake_at);
    default:
      return null;
  }
}
