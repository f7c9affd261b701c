/** The metrics of containers, units, certificates, packages and tunnels, in the form of `host.ts`. */
import type { ContainerRow } from "@muster/protocol/telemetry/containers";
import type { ServiceRow } from "@muster/protocol/telemetry/services";
import type { WireguardPeer } from "@muster/protocol/telemetry/wireguard";
import { each, type Heard, type HostMetric } from "./metric.ts";

const seconds = (ms: number | null) => (ms === null ? null : ms / 1_000);
type Type = HostMetric["type"];

const container = (
  name: HostMetric["name"],
  help: string,
  of: (row: ContainerRow) => number | null,
  type?: Type,
) =>
  each(
    name,
    help,
    ["container"],
    ({ containers }) => (containers?.containers ?? []).map((row) => [[row.name], of(row)]),
    type,
  );

const unit = (name: HostMetric["name"], help: string, of: (row: ServiceRow) => number | null, type?: Type) =>
  each(
    name,
    help,
    ["unit"],
    ({ services }) => (services?.services ?? []).map((row) => [[row.unit], of(row)]),
    type,
  );

const peer = (
  name: HostMetric["name"],
  help: string,
  of: (row: WireguardPeer) => number | null,
  type?: Type,
) =>
  each(
    name,
    help,
    ["interface", "public_key"],
    function* ({ wireguard }) {
      for (const tunnel of wireguard?.interfaces ?? [])
        for (const row of tunnel.peers) yield [[tunnel.name, row.public_key], of(row)];
    },
    type,
  );

const packages = (
  name: HostMetric["name"],
  help: string,
  of: (sample: NonNullable<Heard["packages"]>) => number | null,
) => each(name, help, [], ({ packages }) => (packages?.present === true ? [[[], of(packages)]] : []));

/** Of a fault every kind tells the number, so that one rule covers what is red. */
const FAULTS = ["containers", "services", "certificates", "packages", "wireguard"] as const;

export const COLLECTED_METRICS: readonly HostMetric[] = [
  each(
    "muster_host_faults",
    "What a collector finds wrong, by how grave it is.",
    ["kind", "colour"],
    function* (host) {
      for (const kind of FAULTS) {
        const sample = host[kind];
        if (sample === null || !sample.present) continue;
        for (const colour of ["red", "amber"] as const)
          yield [[kind, colour], sample.faults.filter((fault) => fault.colour === colour).length];
      }
    },
  ),

  each("muster_container_engine_up", "1 = the Docker engine answers.", [], ({ containers }) =>
    containers?.present === true ? [[[], Number(containers.engine.reachable)]] : [],
  ),
  each(
    "muster_container_info",
    "1 for every container, with the image that it runs.",
    ["container", "image", "image_id", "state", "verdict"],
    ({ containers }) =>
      (containers?.containers ?? []).map((row) => [
        [row.name, row.image ?? "", row.image_id ?? "", row.state, row.verdict],
        1,
      ]),
  ),
  container("muster_container_declared", "1 = Muster manages it.", ({ declared }) => Number(declared)),
  container("muster_container_up", "1 = it runs.", ({ state }) =>
    state === "unknown" ? null : Number(state === "running"),
  ),
  container("muster_container_healthy", "1 = its health check passes.", ({ health }) =>
    health === null ? null : Number(health === "healthy"),
  ),
  container(
    "muster_container_restarts_total",
    "Times that Docker started it anew.",
    ({ restarts }) => restarts,
    "counter",
  ),
  container(
    "muster_container_cpus_busy",
    "Processors that it kept busy over the last minute.",
    ({ cpu }) => cpu,
  ),
  container(
    "muster_container_memory_bytes",
    "Memory without what can be dropped.",
    ({ memory_bytes }) => memory_bytes,
  ),
  container(
    "muster_container_memory_limit_bytes",
    "Most memory that it may have.",
    (row) => row.memory_limit_bytes,
  ),
  container(
    "muster_container_network_receive_bytes_total",
    "Received.",
    ({ rx_bytes }) => rx_bytes,
    "counter",
  ),
  container("muster_container_network_transmit_bytes_total", "Sent.", ({ tx_bytes }) => tx_bytes, "counter"),

  unit("muster_service_as_declared", "1 = it runs, or does not, as declared.", ({ verdict }) =>
    verdict === "unknown" ? null : Number(verdict === "ok"),
  ),
  unit("muster_service_up", "1 = active.", ({ active }) =>
    active === "unknown" ? null : Number(active === "active"),
  ),
  unit(
    "muster_service_restarts_total",
    "Times that systemd started it anew.",
    ({ restarts }) => restarts,
    "counter",
  ),
  unit("muster_service_memory_bytes", "Memory of all its processes.", ({ memory_bytes }) => memory_bytes),

  each(
    "muster_watched_certificate_expiry_timestamp_seconds",
    "When a certificate that the inventory lists, or the first of its chain, ends.",
    ["certificate", "where"],
    ({ certificates }) =>
      (certificates?.certificates ?? []).flatMap(({ ref, name, where, not_after, chain_ends }) =>
        ref === null || not_after === null
          ? []
          : [[[name, where ?? ""], seconds(Math.min(not_after, chain_ends ?? not_after))] as const],
      ),
  ),
  each(
    "muster_watched_certificate_ok",
    "1 = it could be read, is for the right names and not about to end.",
    ["certificate", "where"],
    ({ certificates }) =>
      (certificates?.certificates ?? []).flatMap(({ ref, name, where, verdict }) =>
        ref === null ? [] : [[[name, where ?? ""], Number(verdict === "ok")] as const],
      ),
  ),

  packages("muster_host_packages_pending", "Packages that could be renewed.", ({ pending }) => pending),
  packages("muster_host_packages_security", "Security updates that wait.", ({ security }) => security),
  packages(
    "muster_host_packages_refreshed_timestamp_seconds",
    "When apt's lists were fetched last.",
    (sample) => seconds(sample.refreshed_at),
  ),

  each("muster_wireguard_interface_up", "1 = there and up.", ["interface"], ({ wireguard }) =>
    (wireguard?.interfaces ?? []).map(({ name, state }) => [
      [name],
      state === "unknown" ? null : Number(state === "up"),
    ]),
  ),
  peer(
    "muster_wireguard_peer_up",
    "1 = hands were shaken of late; no value where nobody talks to it.",
    ({ verdict }) => (verdict === "idle" || verdict === "unknown" ? null : Number(verdict === "ok")),
  ),
  peer("muster_wireguard_peer_handshake_timestamp_seconds", "When hands were last shaken.", (row) =>
    seconds(row.handshake_at),
  ),
  peer("muster_wireguard_peer_receive_bytes_total", "Received.", ({ rx_bytes }) => rx_bytes, "counter"),
  peer("muster_wireguard_peer_transmit_bytes_total", "Sent.", ({ tx_bytes }) => tx_bytes, "counter"),
];
