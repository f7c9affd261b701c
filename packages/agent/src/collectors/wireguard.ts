/**
 * WireGuard: whether there is an interface, by /sys, once a minute (0.1 ms), and only where there is one `wg` is started (3 ms). What wg-quick starts at boot, and
 * the peers of its file, are expected.
 */
import { FleetError } from "@muster/protocol/errors";
import { gravest } from "@muster/protocol/telemetry/fault";
import type { WireguardInterface, WireguardSample } from "@muster/protocol/telemetry/wireguard";
import type { Ports } from "../ports/index.ts";
import type { TunnelFacts, TunnelFile, Wireguard } from "../ports/wireguard.ts";
import type { Steady } from "./steady.ts";
import { judgePeer, missingPeer, tunnelFaults } from "./wireguard-judge.ts";

const LOOK_MS = 60_000;
const FIRST_MS = 36_000;
const INTERFACES = 200;
const PEERS = 1_000;

export function createWireguardCollector(wireguard: Wireguard, now: Ports["now"]): Steady<"wireguard"> {
  /** Expected and away at the look before: a handshake, and a restart of a tunnel, take a moment. */
  let suspect: ReadonlySet<string> = new Set();
  return {
    kind: "wireguard",
    look_ms: LOOK_MS,
    first_ms: FIRST_MS,
    async look(signal): Promise<WireguardSample> {
      const [there, written] = await Promise.all([wireguard.interfaces(), wireguard.files()]);
      const at = now();
      const files = new Map(written.map((each) => [each.name, each]));
      const expected = written.filter(({ enabled }) => enabled).map(({ name }) => name);
      const names = [...new Set([...there.keys(), ...expected])].sort().slice(0, INTERFACES);
      if (names.length === 0) return { at, present: false, error: null, interfaces: [], faults: [] };
      let dump: ReadonlyMap<string, TunnelFacts> | null = null;
      let error: string | null = null;
      if (there.size > 0) {
        try {
          dump = await wireguard.dump(signal);
        } catch (failure) {
          if (!(failure instanceof FleetError) || failure.code === "CANCELLED") throw failure;
          error = failure.detail || failure.message;
        }
      }
      const interfaces = names.map((name) =>
        tunnel(name, there.get(name), files.get(name), dump === null ? null : (dump.get(name) ?? null), at),
      );
      const wrong = tunnelFaults(interfaces, error);
      const faults = wrong.filter(({ what }) => suspect.has(what));
      suspect = new Set(wrong.map(({ what }) => what));
      return { at, present: true, error, interfaces, faults: gravest(faults) };
    },
    shape: ({ error, interfaces }) => [
      error,
      interfaces.map(({ name, state, peers }) => [
        name,
        state,
        peers.map(({ public_key, endpoint, verdict }) => [public_key, endpoint, verdict]),
      ]),
    ],
    // All that happens to a tunnel is a fault that comes or goes.
    events: () => [],
  };
}

function tunnel(
  name: string,
  there: { readonly up: boolean } | undefined,
  file: TunnelFile | undefined,
  facts: TunnelFacts | null,
  now_ms: number,
): WireguardInterface {
  const declared = new Set(file?.peers.map(({ public_key }) => public_key));
  const seen = (facts?.peers ?? []).map((peer) => judgePeer(peer, declared.has(peer.public_key), now_ms));
  const known = new Set(seen.map(({ public_key }) => public_key));
  const away = (file?.peers ?? []).filter(({ public_key }) => !known.has(public_key));
  return {
    name,
    state: there === undefined ? "missing" : facts === null ? "unknown" : there.up ? "up" : "down",
    expected: file?.enabled === true,
    public_key: facts?.public_key ?? null,
    listen_port: facts?.listen_port ?? null,
    peers: [...seen, ...away.map((peer) => missingPeer(peer, facts !== null))].slice(0, PEERS),
  };
}
