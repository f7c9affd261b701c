/**
 * The metrics of one host, as a table: name, what it is, and how it follows from what was last heard. Names and units are Prometheus' own
 * (prometheus.io/docs/practices/naming). What is not known has no series: a silent host keeps `muster_host_up 0` and when it was last heard, and
 * nothing of its last colours; a collector that says nothing any more loses its series, and the time of its last word shows it blind.
 */
import type { ChecksSample, Health } from "@muster/protocol";
import { type BgpSession, BgpVerdict, bgpColour } from "@muster/protocol/telemetry/bgp";
import { ConvergenceState } from "@muster/protocol/telemetry/convergence";
import { counter, each, gauge, type HostMetric } from "./metric.ts";

const seconds = (ms: number) => ms / 1000;

/** Of a session, its name and peer. */
const SESSION = ["session", "neighbor_as"];
const ofSession = (session: BgpSession) => [session.name, String(session.neighbor_as ?? "")];
const session = (
  name: HostMetric["name"],
  help: string,
  of: (session: BgpSession) => number | null,
): HostMetric =>
  each(name, help, SESSION, ({ bgp }) => (bgp?.sessions ?? []).map((one) => [ofSession(one), of(one)]));

const disk = (name: HostMetric["name"], help: string, of: (one: Health["disks"][number]) => number) =>
  each(name, help, ["mount"], ({ health }) => (health?.disks ?? []).map((one) => [[one.mount], of(one)]));
const traffic = (
  name: HostMetric["name"],
  help: string,
  of: (one: Health["interfaces"][number]) => number,
  type: HostMetric["type"] = "counter",
) =>
  each(
    name,
    help,
    ["interface"],
    ({ health }) => (health?.interfaces ?? []).map((one) => [[one.name], of(one)]),
    type,
  );

/** Of a check, its name and how it is asked. */
const CHECK = ["check", "method"];
const check = (
  name: HostMetric["name"],
  help: string,
  of: (one: ChecksSample["checks"][number]) => number | null,
): HostMetric =>
  each(name, help, CHECK, ({ checks }) =>
    (checks?.checks ?? []).map((one) => [[one.name, one.method], of(one)] as const),
  );

const DIRECTIONS = ["imported", "filtered", "exported", "preferred"] as const;

export const HOST_METRICS: readonly HostMetric[] = [
  gauge("muster_host_up", "1 = heard of late, 0 = silent.", ({ silent }) => Number(!silent)),
  gauge("muster_host_last_heard_timestamp_seconds", "When it was last heard.", ({ heard_at }) =>
    heard_at === null ? null : seconds(heard_at),
  ),
  each(
    "muster_host_sample_timestamp_seconds",
    "When its last sample of this kind came.",
    ["kind"],
    ({ silent, kinds }) =>
      silent ? [] : kinds.map(({ kind, heard_at }) => [[kind], seconds(heard_at)] as const),
  ),
  each(
    "muster_host_collector_blind",
    "1 = the host is heard, and its last sample of this kind is older than three of its periods.",
    ["kind"],
    ({ silent, kinds }) => (silent ? [] : kinds.map(({ kind, blind }) => [[kind], Number(blind)] as const)),
  ),
  each(
    "muster_host_info",
    "1 for every enrolled host.",
    ["os", "agent_version"],
    ({ record, convergence }) => [[[record.os, convergence?.agent_version ?? record.agent_version], 1]],
  ),
  gauge("muster_host_clock_skew_seconds", "By how much its clock is ahead.", (host) =>
    host.clock_skew_ms === null ? null : seconds(host.clock_skew_ms),
  ),
  each("muster_host_state", "1 for the state that it is in.", ["state"], ({ convergence }) =>
    convergence === null
      ? []
      : ConvergenceState.options.map((state) => [[state], Number(state === convergence.state)] as const),
  ),
  gauge(
    "muster_host_generation",
    "Generation that it accepted last.",
    (host) => host.convergence?.generation,
  ),
  gauge("muster_host_resources", "Resources declared.", (host) => host.convergence?.resources.total),
  gauge("muster_host_resources_ok", "Resources as declared.", (host) => host.convergence?.resources.ok),
  gauge(
    "muster_host_troubles",
    "Resources that failed or stopped.",
    (host) => host.convergence?.troubles.length,
  ),
  gauge("muster_host_drifts", "Resources that differ.", (host) => host.convergence?.drift.length),
  gauge("muster_host_held", "Resources left alone on request.", (host) => host.convergence?.held.length),
  gauge("muster_host_drained", "1 = drained.", ({ convergence }) =>
    convergence === null ? null : Number(convergence.drained != null),
  ),
  each(
    "muster_certificate_expiry_timestamp_seconds",
    "When the host's credential of that name ends.",
    ["name"],
    ({ convergence }) =>
      (convergence?.certificates ?? []).map(({ name, not_after }) => [[name], seconds(not_after)] as const),
  ),

  gauge("muster_bgp_daemon_up", "1 = the routing daemon answers.", ({ bgp }) =>
    bgp === null ? null : Number(bgp.daemon.reachable),
  ),
  gauge("muster_bgp_daemon_memory_bytes", "Memory that the routing daemon has taken.", ({ bgp }) =>
    bgp === null ? null : bgp.daemon.memory_bytes,
  ),
  each(
    "muster_bgp_faults",
    "What is wrong beside the sessions, by how grave it is.",
    ["colour"],
    ({ bgp }) =>
      bgp === null
        ? []
        : (["red", "amber"] as const).map((colour) => [
            [colour],
            bgp.faults.filter((fault) => fault.colour === colour).length,
          ]),
  ),
  each("muster_rpki_session_up", "1 = established.", ["session"], ({ bgp }) =>
    (bgp?.rpki ?? []).map(({ name, state }) => [[name], Number(state === "established")]),
  ),
  each("muster_roa_table_roas", "ROAs in the table.", ["table"], ({ bgp }) =>
    (bgp?.roa_tables ?? []).map(({ table, roas }) => [[table], roas]),
  ),
  each("muster_bfd_session_up", "1 = up.", ["address"], ({ bgp }) =>
    (bgp?.bfd ?? []).map(({ address, state }) => [[address], Number(state === "up")]),
  ),
  session("muster_bgp_session_up", "1 = established.", ({ state }) => Number(state === "established")),
  session("muster_bgp_session_expected", "1 = declared and meant to be established.", ({ expected }) =>
    Number(expected === "up"),
  ),
  session(
    "muster_bgp_session_red",
    "1 = not as declared; a drain or a pending day is not red.",
    ({ verdict }) => Number(bgpColour(verdict) === "red"),
  ),
  session("muster_bgp_session_flaps", "Times it went down in the last hour.", ({ flaps }) => flaps),
  session(
    "muster_bgp_session_import_min",
    "Fewest imported routes asked for.",
    ({ import_min }) => import_min,
  ),
  session("muster_bgp_session_exports_missing", "Prefixes that should be exported and are not.", (one) =>
    one.exports_missing === null ? null : one.exports_missing.length,
  ),
  each(
    "muster_bgp_session_verdict",
    "1 for the verdict on the session.",
    [...SESSION, "verdict"],
    ({ bgp }) =>
      (bgp?.sessions ?? []).map((one) => [[...ofSession(one), BgpVerdict.parse(one.verdict)], 1] as const),
  ),
  each(
    "muster_bgp_session_routes",
    "Routes of one address family.",
    [...SESSION, "family", "direction"],
    function* ({ bgp }) {
      for (const one of bgp?.sessions ?? [])
        for (const channel of one.channels)
          for (const direction of DIRECTIONS)
            yield [[...ofSession(one), channel.family, direction], channel[direction]];
    },
  ),

  gauge(
    "muster_host_checks",
    "Checks declared.",
    ({ convergence }) => convergence?.resources.managed.check ?? (convergence === null ? null : 0),
  ),
  check("muster_check_up", "1 = answers; 0 = it does not, or it cannot be told.", ({ state }) =>
    Number(state === "up"),
  ),
  check("muster_check_blind", "1 = it cannot be told whether it answers.", ({ state }) =>
    Number(state === "blind"),
  ),
  check("muster_check_since_timestamp_seconds", "Since when it is as it is.", ({ since }) => seconds(since)),
  check("muster_check_latency_seconds", "How long its last good answer took.", ({ latency_ms }) =>
    latency_ms === null ? null : seconds(latency_ms),
  ),
  each(
    "muster_probe_reason",
    "Of a measuring host: 1 = this of its four reasons holds, 0 = it does not.",
    ["check", "reason"],
    ({ checks }) =>
      (checks?.checks ?? []).flatMap(({ name, reasons }) =>
        (reasons ?? []).map((one) => [[name, one.name], one.ok === null ? null : Number(one.ok)] as const),
      ),
  ),

  gauge("muster_host_uptime_seconds", "Since the machine was started.", (host) => host.health?.uptime_s),
  gauge("muster_host_load1", "Load over one minute.", (host) => host.health?.load[0]),
  gauge("muster_host_cpu_busy_ratio", "Share of all cores, 0 to 1.", (host) => host.health?.cpu_busy),
  gauge("muster_host_cpus", "Processors.", (host) => host.health?.cores),
  gauge("muster_host_memory_total_bytes", "Memory.", (host) => host.health?.memory.total_bytes),
  gauge(
    "muster_host_memory_available_bytes",
    "Memory that programs could still have.",
    (host) => host.health?.memory.available_bytes,
  ),
  gauge("muster_host_swap_used_bytes", "Moved out to disk.", (host) => host.health?.memory.swap_used_bytes),
  disk("muster_host_filesystem_size_bytes", "Size of the file system.", (one) => one.size_bytes),
  disk("muster_host_filesystem_used_bytes", "In use on the file system.", (one) => one.used_bytes),
  traffic("muster_host_network_receive_bytes_total", "Received.", (one) => one.rx_bytes),
  traffic("muster_host_network_transmit_bytes_total", "Sent.", (one) => one.tx_bytes),
  traffic("muster_host_network_up", "1 = the interface carries traffic.", (one) => Number(one.up), "gauge"),
  gauge(
    "muster_host_failed_units",
    "systemd units in state failed.",
    (host) => host.health?.failed_units.length,
  ),
  gauge("muster_agent_resident_memory_bytes", "Memory of the agent.", (host) => host.health?.agent.rss_bytes),
  counter(
    "muster_agent_cpu_seconds_total",
    "Processor time of the agent.",
    (host) => host.health?.agent.cpu_s,
  ),
];
