/**
 * Dashboards for Grafana over the metrics of the controller, in its file format (grafana.com/docs/grafana/latest/dashboards/build-dashboards/
 * view-dashboard-json-model). Made from the folder: a host that never joined can be chosen too, and is missing where one looks for it. Every query is
 * put to a real Prometheus in test/unit/controller/metrics.test.ts; Grafana itself is not run there.
 */

import { COLLECTED, MACHINE } from "./collected-panels.ts";
import type { Panel } from "./panel.ts";

export type Dashboard = { readonly uid: string; readonly title: string; readonly panels: readonly Panel[] };

const FLEET: readonly Panel[] = [
  {
    title: "Hosts silent",
    expr: 'count(muster_host_up{host=~"$host"} == 0) or vector(0)',
    ...{ legend: "silent", unit: "none", as: "stat", red_from: 1 },
  },
  {
    title: "Sessions not as declared",
    expr: 'sum(muster_bgp_session_red{host=~"$host"}) or vector(0)',
    ...{ legend: "red", unit: "none", as: "stat", red_from: 1 },
  },
  {
    title: "Resources failed or stopped",
    expr: 'sum(muster_host_troubles{host=~"$host"}) or vector(0)',
    ...{ legend: "in trouble", unit: "none", as: "stat", red_from: 1 },
  },
  {
    title: "Checks down or blind",
    expr: 'count(muster_check_up{host=~"$host"} == 0) or vector(0)',
    ...{ legend: "down", unit: "none", as: "stat", red_from: 1 },
  },
  {
    title: "Controllers that lead",
    expr: "sum(muster_controller_leading)",
    ...{ legend: "leading", unit: "none", as: "stat" },
  },
  {
    title: "State of each host",
    expr: 'muster_host_state{host=~"$host"} == 1',
    ...{ legend: "{{host}} {{state}}", unit: "none", as: "table" },
  },
  {
    title: "Resources that differ",
    expr: 'muster_host_drifts{host=~"$host"}',
    ...{ legend: "{{host}}", unit: "none", as: "timeseries" },
  },
  {
    title: "Credentials by what is left",
    expr: 'sort(muster_certificate_expiry_timestamp_seconds{host=~"$host"} - time())',
    ...{ legend: "{{host}} {{name}}", unit: "s", as: "table" },
  },
  {
    title: "Age of the last sample",
    expr: 'time() - muster_host_sample_timestamp_seconds{host=~"$host"}',
    ...{ legend: "{{host}} {{kind}}", unit: "s", as: "timeseries" },
  },
];

const HOST: readonly Panel[] = [
  {
    title: "Processors busy",
    expr: 'muster_host_cpu_busy_ratio{host=~"$host"}',
    ...{ legend: "{{host}}", unit: "percentunit", as: "timeseries" },
  },
  {
    title: "Load a processor",
    expr: 'muster_host_load1{host=~"$host"} / muster_host_cpus',
    ...{ legend: "{{host}}", unit: "short", as: "timeseries" },
  },
  {
    title: "Memory that programs could still have",
    expr: 'muster_host_memory_available_bytes{host=~"$host"} / muster_host_memory_total_bytes',
    ...{ legend: "{{host}}", unit: "percentunit", as: "timeseries" },
  },
  {
    title: "File systems",
    expr: 'muster_host_filesystem_used_bytes{host=~"$host"} / muster_host_filesystem_size_bytes',
    ...{ legend: "{{host}} {{mount}}", unit: "percentunit", as: "timeseries" },
  },
  {
    title: "Received",
    expr: 'rate(muster_host_network_receive_bytes_total{host=~"$host"}[5m])',
    ...{ legend: "{{host}} {{interface}}", unit: "Bps", as: "timeseries" },
  },
  {
    title: "Sent",
    expr: 'rate(muster_host_network_transmit_bytes_total{host=~"$host"}[5m])',
    ...{ legend: "{{host}} {{interface}}", unit: "Bps", as: "timeseries" },
  },
  {
    title: "Checks that answer",
    expr: 'muster_check_up{host=~"$host"}',
    ...{ legend: "{{host}} {{check}}", unit: "none", as: "timeseries" },
  },
  {
    title: "How long checks take to answer",
    expr: 'muster_check_latency_seconds{host=~"$host"}',
    ...{ legend: "{{host}} {{check}}", unit: "s", as: "timeseries" },
  },
  {
    title: "Units failed",
    expr: 'muster_host_failed_units{host=~"$host"}',
    ...{ legend: "{{host}}", unit: "none", as: "stat", red_from: 1 },
  },
  {
    title: "Clock ahead by",
    expr: 'muster_host_clock_skew_seconds{host=~"$host"}',
    ...{ legend: "{{host}}", unit: "s", as: "timeseries" },
  },
  {
    title: "The agent's share of one processor",
    expr: 'rate(muster_agent_cpu_seconds_total{host=~"$host"}[5m])',
    ...{ legend: "{{host}}", unit: "percentunit", as: "timeseries" },
  },
  {
    title: "The agent's memory",
    expr: 'muster_agent_resident_memory_bytes{host=~"$host"}',
    ...{ legend: "{{host}}", unit: "bytes", as: "timeseries" },
  },
];

const BGP: readonly Panel[] = [
  {
    title: "Sessions not as declared",
    expr: 'muster_bgp_session_red{host=~"$host"} == 1',
    ...{ legend: "{{host}} {{session}} AS{{neighbor_as}}", unit: "none", as: "table" },
  },
  {
    title: "Declared up, and up",
    expr: 'muster_bgp_session_up{host=~"$host"} and muster_bgp_session_expected == 1',
    ...{ legend: "{{host}} {{session}}", unit: "none", as: "timeseries" },
  },
  {
    title: "Routes taken in",
    expr: 'muster_bgp_session_routes{host=~"$host", direction="imported"}',
    ...{ legend: "{{host}} {{session}} {{family}}", unit: "short", as: "timeseries" },
  },
  {
    title: "Routes told",
    expr: 'muster_bgp_session_routes{host=~"$host", direction="exported"}',
    ...{ legend: "{{host}} {{session}} {{family}}", unit: "short", as: "timeseries" },
  },
  {
    title: "Went down in the last hour",
    expr: 'muster_bgp_session_flaps{host=~"$host"}',
    ...{ legend: "{{host}} {{session}}", unit: "none", as: "timeseries", red_from: 3 },
  },
  {
    title: "Prefixes that should be told and are not",
    expr: 'sum by (host, session) (muster_bgp_session_exports_missing{host=~"$host"})',
    ...{ legend: "{{host}} {{session}}", unit: "none", as: "timeseries", red_from: 1 },
  },
  {
    title: "Routing daemon answers",
    expr: 'muster_bgp_daemon_up{host=~"$host"}',
    ...{ legend: "{{host}}", unit: "none", as: "timeseries" },
  },
  {
    title: "Faults beside the sessions",
    expr: 'muster_bgp_faults{host=~"$host"}',
    ...{ legend: "{{host}} {{colour}}", unit: "none", as: "timeseries" },
  },
];

export const DASHBOARDS: readonly Dashboard[] = [
  { uid: "muster-fleet", title: "fleet", panels: FLEET },
  { uid: "muster-host", title: "host", panels: [...HOST, ...MACHINE] },
  { uid: "muster-bgp", title: "BGP", panels: BGP },
  { uid: "muster-services", title: "services", panels: COLLECTED },
];

/** Grafana's grid has 24 columns. */
const SIZES = { stat: [6, 4], timeseries: [12, 8], table: [12, 8] } as const;
const SOURCE = { type: "prometheus", uid: "$source" };

/** A dashboard as Grafana reads it from a file. `hosts` are the folder's, all chosen at first. */
export function dashboardFile(fleet: string, hosts: readonly string[], dashboard: Dashboard): object {
  const { uid, title, panels } = dashboard;
  return {
    uid: `${uid}-${fleet}`.slice(0, 40),
    title: `Muster ${fleet}: ${title}`,
    tags: ["muster", fleet],
    schemaVersion: 39,
    editable: false,
    refresh: "10s",
    time: { from: "now-6h", to: "now" },
    templating: {
      list: [{ name: "source", label: "Prometheus", type: "datasource", query: "prometheus" }, choice(hosts)],
    },
    panels: placed(panels),
  };
}

/** Names are letters, digits, dots and hyphens: as a regular expression they fit themselves. */
const choice = (hosts: readonly string[]) => ({
  ...{ name: "host", label: "Host", type: "custom", multi: true, includeAll: true, allValue: ".*" },
  query: hosts.join(","),
  options: [],
  current: { text: ["All"], value: ["$__all"] },
});

/** From left to right, a new row where one does not fit any more. */
function placed(panels: readonly Panel[]): object[] {
  let [x, y, row] = [0, 0, 0];
  return panels.map((panel, at) => {
    const [w, h] = SIZES[panel.as];
    if (x + w > 24) [x, y, row] = [0, y + row, 0];
    const gridPos = { x, y, w, h };
    [x, row] = [x + w, Math.max(row, h)];
    return { id: at + 1, gridPos, ...drawn(panel) };
  });
}

function drawn({ title, expr, legend, unit, as, red_from }: Panel): object {
  const steps = [
    { color: "green", value: null },
    ...(red_from === undefined ? [] : [{ color: "red", value: red_from }]),
  ];
  const now = as !== "timeseries";
  return {
    ...{ title, type: as, datasource: SOURCE },
    targets: [
      {
        ...{ refId: "A", datasource: SOURCE, expr, legendFormat: legend },
        ...{ instant: now, range: !now, format: as === "table" ? "table" : "time_series" },
      },
    ],
    fieldConfig: { defaults: { unit, thresholds: { mode: "absolute", steps } }, overrides: [] },
  };
}
