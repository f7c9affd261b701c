/**
 * Which numbers of each kind of telemetry are kept over time (ADR 21): one row a track, the only place to add one. A number of the host has a name, such as `cpu`; of the
 * things in a list the name is followed by the thing's, such as `interfaces.rx_errors eth0`. Expressions ask for them by `KIND.NAME` (`expression/window.ts`). Pure.
 */
import { loadOf } from "./load.ts";
import type { BgpSample } from "./telemetry/bgp.ts";
import type { CertificatesSample } from "./telemetry/certificates.ts";
import type { ChecksSample } from "./telemetry/checks.ts";
import type { ContainersSample } from "./telemetry/containers.ts";
import type { Health } from "./telemetry/health.ts";
import type { ServicesSample } from "./telemetry/services.ts";
import type { WireguardSample } from "./telemetry/wireguard.ts";

/** Null: not known then, as the rate at the first sample. */
export type Numbers = Readonly<Record<string, number | null>>;

/** `counter`: only grows, and begins anew at 0. `each`: one for each thing in a list, called by its name. */
export type Column = { readonly counter?: true; readonly each?: true };

export type Row<S> = {
  /** The telemetry that it is taken from. */
  readonly of: string;
  /** One point at most in this time: what comes sooner is a change, and events tell of those. */
  readonly every_ms: number;
  readonly columns: Readonly<Record<string, Column>>;
  /** `before` is the sample before this one of the same agent, for rates. */
  numbers(sample: S, before: S | null): Numbers;
  /** How several points become one: their mean, or the last of them. */
  readonly thinned: "mean" | "last";
};

export const NAME_LENGTH = 120;
const MIB = 1_048_576;
const DAY_MS = 86_400_000;
/** Of the routes of so many sessions, each by itself; of more only the sums. */
const SESSIONS_LIMIT = 1_000;
const DISKS_LIMIT = 32;
/** Of other lists. */
const THINGS_LIMIT = 64;

const share = (value: number): number => Math.round(value * 1_000) / 1_000;
const whole = (value: number | null | undefined): number | null => (value == null ? null : Math.round(value));
/** So that what hardly moves stands still, and takes no room. */
const mebibytes = (bytes: number | null | undefined): number | null =>
  bytes == null ? null : Math.round(bytes / MIB) * MIB;

const named = (column: string, name: string) => `${column} ${name}`.slice(0, NAME_LENGTH);

/** A number of each thing in a list, for each of the columns. */
function each<E>(
  things: readonly E[],
  nameOf: (thing: E) => string,
  columns: Readonly<Record<string, (thing: E) => number | null | undefined>>,
  limit = THINGS_LIMIT,
): Numbers {
  const numbers: Record<string, number | null> = {};
  for (const thing of things.slice(0, limit))
    for (const [column, of] of Object.entries(columns))
      numbers[named(column, nameOf(thing))] = of(thing) ?? null;
  return numbers;
}

const GAUGE: Column = {};
const EACH: Column = { each: true };
const COUNTER: Column = { counter: true };
const EACH_COUNTER: Column = { each: true, counter: true };

/** Under which name the used share of one disk is kept. */
export const diskSeries = (mount: string): string => named("disk_used", mount);

const health: Row<Health> = {
  of: "health",
  every_ms: 10_000,
  thinned: "mean",
  columns: {
    ...{ cpu: GAUGE, memory: GAUGE, load1: GAUGE, received_bits_per_s: GAUGE, sent_bits_per_s: GAUGE },
    disk_used: EACH,
  },
  numbers(sample, before) {
    const { cpu, memory, load1, received_bits_per_s, sent_bits_per_s } = loadOf(sample, before);
    const disks = sample.disks.filter(({ size_bytes }) => size_bytes > 0);
    return {
      cpu,
      memory: share(memory),
      load1,
      received_bits_per_s: whole(received_bits_per_s),
      sent_bits_per_s: whole(sent_bits_per_s),
      ...each(
        disks,
        ({ mount }) => mount,
        { disk_used: ({ used_bytes, size_bytes }) => share(used_bytes / size_bytes) },
        DISKS_LIMIT,
      ),
    };
  },
};

/** What of the machine is looked back at rather than drawn: counters of faults and traffic, and what fills up. */
const machine: Row<Health> = {
  of: "health",
  every_ms: 60_000,
  thinned: "last",
  columns: {
    oom_kills: COUNTER,
    ...{ "memory.available_bytes": GAUGE, "memory.swap_used_bytes": GAUGE },
    ...{ "disks.used_bytes": EACH, "disks.inodes_used": EACH },
    ...{ "disk_io.read_bytes": EACH_COUNTER, "disk_io.written_bytes": EACH_COUNTER },
    ...{ "interfaces.rx_bytes": EACH_COUNTER, "interfaces.tx_bytes": EACH_COUNTER },
    ...{ "interfaces.rx_errors": EACH_COUNTER, "interfaces.tx_errors": EACH_COUNTER },
    ...{ "interfaces.rx_dropped": EACH_COUNTER, "interfaces.tx_dropped": EACH_COUNTER },
  },
  numbers: ({ oom_kills, memory, disks, disk_io, interfaces }) => ({
    oom_kills: oom_kills ?? null,
    "memory.available_bytes": mebibytes(memory.available_bytes),
    "memory.swap_used_bytes": mebibytes(memory.swap_used_bytes),
    ...each(
      disks,
      ({ mount }) => mount,
      {
        "disks.used_bytes": ({ used_bytes }) => mebibytes(used_bytes),
        "disks.inodes_used": ({ inodes_used }) => inodes_used,
      },
      DISKS_LIMIT,
    ),
    ...each(disk_io ?? [], ({ device }) => device, {
      "disk_io.read_bytes": ({ read_bytes }) => read_bytes,
      "disk_io.written_bytes": ({ written_bytes }) => written_bytes,
    }),
    ...each(interfaces, ({ name }) => name, {
      "interfaces.rx_bytes": ({ rx_bytes }) => rx_bytes,
      "interfaces.tx_bytes": ({ tx_bytes }) => tx_bytes,
      "interfaces.rx_errors": ({ rx_errors }) => rx_errors,
      "interfaces.tx_errors": ({ tx_errors }) => tx_errors,
      "interfaces.rx_dropped": ({ rx_dropped }) => rx_dropped,
      "interfaces.tx_dropped": ({ tx_dropped }) => tx_dropped,
    }),
  }),
};

/** Under which name the imported routes of one session are kept. */
export const bgpSeries = (session: string): string => named("imported", session);

const bgp: Row<BgpSample> = {
  of: "bgp",
  every_ms: 10_000,
  thinned: "last",
  columns: { up: GAUGE, exported: GAUGE, imported: { each: true } },
  numbers({ daemon, sessions }) {
    if (!daemon.reachable) return { imported: null, exported: null, up: null };
    const routes = (of: "imported" | "exported", chosen: typeof sessions): number | null => {
      const counts = chosen.flatMap(({ channels }) => channels.flatMap((channel) => channel[of] ?? []));
      return counts.length === 0 ? null : counts.reduce((sum, count) => sum + count, 0);
    };
    return {
      imported: routes("imported", sessions),
      exported: routes("exported", sessions),
      up: sessions.filter(({ state }) => state === "established").length,
      ...Object.fromEntries(
        sessions
          .slice(0, SESSIONS_LIMIT)
          .map((session) => [bgpSeries(session.name), routes("imported", [session])]),
      ),
    };
  },
};

const checks: Row<ChecksSample> = {
  of: "checks",
  every_ms: 30_000,
  thinned: "last",
  columns: { "checks.up": EACH, "checks.latency_ms": EACH },
  numbers: (sample) =>
    each(sample.checks, ({ name }) => name, {
      "checks.up": ({ state }) => (state === "blind" ? null : Number(state === "up")),
      "checks.latency_ms": ({ state, latency_ms }) => (state === "up" ? latency_ms : null),
    }),
};

const containers: Row<ContainersSample> = {
  of: "containers",
  every_ms: 60_000,
  thinned: "last",
  columns: {
    ...{ "containers.up": EACH, "containers.restarts": EACH_COUNTER, "containers.cpu": EACH },
    "containers.memory_bytes": EACH,
    ...{ "containers.rx_bytes": EACH_COUNTER, "containers.tx_bytes": EACH_COUNTER },
  },
  numbers: (sample) =>
    each(sample.containers, ({ name }) => name, {
      "containers.up": ({ state }) => (state === "unknown" ? null : Number(state === "running")),
      "containers.restarts": ({ restarts }) => restarts,
      "containers.cpu": ({ cpu }) => (cpu === null ? null : share(cpu)),
      "containers.memory_bytes": ({ memory_bytes }) => mebibytes(memory_bytes),
      "containers.rx_bytes": ({ rx_bytes }) => rx_bytes,
      "containers.tx_bytes": ({ tx_bytes }) => tx_bytes,
    }),
};

const services: Row<ServicesSample> = {
  of: "services",
  every_ms: 60_000,
  thinned: "last",
  columns: { "services.up": EACH, "services.restarts": EACH_COUNTER, "services.memory_bytes": EACH },
  numbers: (sample) =>
    each(sample.services, ({ unit }) => unit, {
      "services.up": ({ active }) => (active === "unknown" ? null : Number(active === "active")),
      "services.restarts": ({ restarts }) => restarts,
      "services.memory_bytes": ({ memory_bytes }) => mebibytes(memory_bytes),
    }),
};

const wireguard: Row<WireguardSample> = {
  of: "wireguard",
  every_ms: 60_000,
  thinned: "last",
  columns: { "interfaces.peers.rx_bytes": EACH_COUNTER, "interfaces.peers.tx_bytes": EACH_COUNTER },
  numbers: ({ interfaces }) =>
    each(
      interfaces.flatMap(({ name, peers }) => peers.map((peer) => ({ tunnel: name, ...peer }))),
      // The tunnel as people call it; of one with several peers their keys.
      ({ tunnel, public_key }) =>
        interfaces.find(({ name }) => name === tunnel)?.peers.length === 1
          ? tunnel
          : `${tunnel} ${public_key}`,
      {
        "interfaces.peers.rx_bytes": ({ rx_bytes }) => rx_bytes,
        "interfaces.peers.tx_bytes": ({ tx_bytes }) => tx_bytes,
      },
    ),
};

const certificates: Row<CertificatesSample> = {
  of: "certificates",
  every_ms: 600_000,
  thinned: "last",
  columns: { "certificates.days_left": EACH },
  numbers: ({ at, certificates }) =>
    each(certificates, ({ name }) => name, {
      "certificates.days_left": ({ not_after, chain_ends }) =>
        not_after === null
          ? null
          : Math.floor((Math.min(not_after, chain_ends ?? not_after) - at) / (DAY_MS / 10)) / 10,
    }),
};

/** By the name of the track. */
export const KEPT = { health, machine, bgp, checks, containers, services, wireguard, certificates } as const;
