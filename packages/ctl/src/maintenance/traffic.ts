/** How much goes through the interfaces of a host's sessions to others, and whether a drain has emptied them. */
import { setTimeout as sleep } from "node:timers/promises";
import { callOne } from "@muster/ports/call";
import { FleetError } from "@muster/protocol/errors";
import type { BgpSample, BgpSession } from "@muster/protocol/telemetry/bgp";
import type { Host } from "../apply/signed.ts";
import type { Connection } from "../session/session.ts";

const PERIOD_MS = 2_000;
/** What routing protocols, ssh and the agent make themselves. */
const QUIET_BITS = 1_000_000;
const QUIET_SHARE = 0.1;
const SESSIONS_LIMIT = 32;

/** Sessions with other networks that are up: those that GRACEFUL_SHUTDOWN is for. */
export const external = (sample: BgpSample | null): BgpSession[] =>
  (sample?.sessions ?? []).filter(
    ({ state, neighbor_as, local_as }) => state === "established" && neighbor_as !== local_as,
  );

/** The interfaces through which these sessions' neighbours are reached. */
export async function interfacesOf(
  connection: Connection,
  host: Host,
  sessions: readonly BgpSession[],
): Promise<ReadonlySet<string>> {
  const paths = await Promise.all(
    sessions
      .slice(0, SESSIONS_LIMIT)
      .map(({ name }) => callOne(connection, host.id, "bgp", { session: name })),
  );
  return new Set(paths.flatMap(({ path }) => path?.interface ?? []));
}

type Counted = { readonly at_ms: number; readonly bytes: ReadonlyMap<string, number> };

async function count(connection: Connection, host: Host, names: ReadonlySet<string>): Promise<Counted> {
  const { at, interfaces } = await callOne(connection, host.id, "health", {});
  const own = interfaces.filter(({ name }) => names.has(name));
  return { at_ms: at, bytes: new Map(own.map((each) => [each.name, each.rx_bytes + each.tx_bytes])) };
}

/** Bits per second, both ways, by interface: of two seconds. */
export async function measure(
  connection: Connection,
  host: Host,
  names: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, number>> {
  const before = await count(connection, host, names);
  await sleep(PERIOD_MS, undefined, { signal }).catch(() => {
    throw new FleetError("CANCELLED", "while the traffic was measured");
  });
  const now = await count(connection, host, names);
  const seconds = Math.max(0.1, (now.at_ms - before.at_ms) / 1_000);
  return new Map(
    [...now.bytes].map(([name, bytes]) => [
      name,
      Math.max(0, ((bytes - (before.bytes.get(name) ?? bytes)) * 8) / seconds),
    ]),
  );
}

/** Whether what is left is little, in itself or of what there was. */
export const isQuiet = (before: ReadonlyMap<string, number>, now: ReadonlyMap<string, number>) =>
  [...now].every(([name, bits]) => bits <= Math.max(QUIET_BITS, (before.get(name) ?? 0) * QUIET_SHARE));

/** `eth1 410 → 3 Mbit/s`. */
export function trafficText(before: ReadonlyMap<string, number>, now: ReadonlyMap<string, number>): string {
  if (now.size === 0) return "no interface to watch";
  const mega = (bits: number | undefined) => String(Math.round((bits ?? 0) / 1_000_000));
  return [...now]
    .map(([name, bits]) => `${name} ${mega(before.get(name))} → ${mega(bits)} Mbit/s`)
    .join(", ");
}
