/** What FRR says beside its sessions: BFD (`show bfd peers json` of bfdd) and RPKI caches (bgpd with its module rpki). Tried on FRR 8.4. */
import { FleetError } from "@muster/protocol/errors";
import type { BfdSession, RpkiSession, Since } from "@muster/protocol/telemetry/routing";
import { z } from "zod";
import type { SeenSession } from "../bird/session.ts";
import { exactSince, UNKNOWN_SINCE } from "../bird/since.ts";
import { arrayOf, objectOf } from "./json.ts";

const Text = z.string().optional().catch(undefined);
const Whole = z.int().min(0).optional().catch(undefined);

const BfdPeer = z.looseObject({
  peer: z.string(),
  interface: Text,
  vrf: Text,
  status: z.string(),
  uptime: Whole,
  downtime: Whole,
  "receive-interval": Whole,
  "transmit-interval": Whole,
  "remote-transmit-interval": Whole,
  "remote-receive-interval": Whole,
  "remote-detect-multiplier": Whole,
});

/** Errors: FRR_REPLY. */
export function frrBfd(text: string, now_ms: number): BfdSession[] {
  return arrayOf(text).flatMap((given): BfdSession[] => {
    const read = BfdPeer.safeParse(given);
    if (!read.success) return [];
    const { peer, status, uptime, downtime, vrf = "default", interface: found = null } = read.data;
    const up = status === "up";
    const sends_ms = slower(read.data["transmit-interval"], read.data["remote-receive-interval"]);
    const hears_ms = slower(read.data["receive-interval"], read.data["remote-transmit-interval"]);
    return [
      {
        protocol: vrf === "default" ? "bfdd" : `bfdd ${vrf}`,
        address: peer,
        interface: found,
        state: status === "shutdown" ? "admindown" : status.toLowerCase(),
        since: agoText(up ? uptime : downtime, now_ms),
        interval_s: sends_ms / 1_000,
        timeout_s: up ? (hears_ms * (read.data["remote-detect-multiplier"] ?? 0)) / 1_000 : 0,
      },
    ];
  });
}

/** Both ends agree on the slower of what one sends and the other takes (RFC 5880, 6.8.2). */
const slower = (one = 0, other = 0): number => Math.max(one, other);

/** An age in whole seconds: rounded, the instant is nearly the same in every sample. */
function agoText(age_s: number | undefined, now_ms: number): Since {
  return age_s === undefined ? UNKNOWN_SINCE : exactSince(Math.round(now_ms / 1_000 - age_s) * 1_000);
}

/** Of neighbours that bgpd has BFD for and of which bfdd says nothing, as one that does not run: so that its absence shows. */
export function unwatched(wanted: readonly SeenSession[], told: readonly BfdSession[]): BfdSession[] {
  return wanted.flatMap(({ neighbor_address: address }) =>
    address === null || told.some((each) => each.address === address)
      ? []
      : [
          {
            protocol: "bgpd",
            address,
            interface: null,
            state: "unknown",
            since: UNKNOWN_SINCE,
            interval_s: null,
            timeout_s: 0,
          },
        ],
  );
}

const Cache = z.looseObject({ host: z.string(), port: Text, mode: Text, state: Text });

/**
 * Caches as configured, with the state of their connections. How many ROAs there are FRR only tells by listing all of them, which is not asked.
 * @param heard when each was last seen connected, kept from look to look
 * @throws FRR_REPLY
 */
export function frrRpki(
  servers: string,
  connections: string,
  heard: Map<string, number>,
  now_ms: number,
): RpkiSession[] {
  const listed = cachesIn(servers, "servers");
  const states = new Map(cachesIn(connections, "connections").map((each) => [nameOf(each), each.state]));
  return listed.map((cache) => {
    const name = nameOf(cache);
    const word = states.get(name);
    if (word === "connected") heard.set(name, now_ms);
    const last_ms = heard.get(name);
    return {
      name,
      state: word === "connected" ? "established" : (word ?? "disconnected"),
      since: UNKNOWN_SINCE,
      server: name,
      transport: cache.mode ?? null,
      serial: null,
      last_update_s: last_ms === undefined ? null : Math.round((now_ms - last_ms) / 1_000),
      expire_timer: null,
      roas: null,
    };
  });
}

const nameOf = ({ host, port }: z.infer<typeof Cache>): string =>
  port === undefined ? host : `${host} port ${port}`;

function cachesIn(text: string, list: "servers" | "connections"): z.infer<typeof Cache>[] {
  const read = z.array(Cache).safeParse(objectOf(text)[list] ?? []);
  if (!read.success) throw new FleetError("FRR_REPLY", `its ${list} are no list of caches`);
  return read.data;
}
