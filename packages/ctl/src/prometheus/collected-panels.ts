/** Panels of what lies below and on a host: its machine, and containers, units, tunnels, certificates and packages. Each query is put to a real Prometheus in the tests. */
import type { Panel } from "./panel.ts";

export const MACHINE: readonly Panel[] = [
  {
    title: "Processors by mode",
    expr: 'muster_host_cpu_mode_ratio{host=~"$host", mode!="idle"}',
    ...{ legend: "{{host}} {{mode}}", unit: "percentunit", as: "timeseries" },
  },
  {
    title: "Time in which programs waited",
    expr: 'muster_host_pressure_ratio{host=~"$host", who="some"}',
    ...{ legend: "{{host}} {{resource}}", unit: "percentunit", as: "timeseries" },
  },
  {
    title: "File systems full in",
    expr: 'muster_host_filesystem_full_in_seconds{host=~"$host"}',
    ...{ legend: "{{host}} {{mount}}", unit: "s", as: "table" },
  },
  {
    title: "File systems full of files in",
    expr: 'muster_host_filesystem_inodes_full_in_seconds{host=~"$host"}',
    ...{ legend: "{{host}} {{mount}}", unit: "s", as: "table" },
  },
  {
    title: "Files of file systems",
    expr: 'muster_host_filesystem_inodes_used{host=~"$host"} / muster_host_filesystem_inodes',
    ...{ legend: "{{host}} {{mount}}", unit: "percentunit", as: "timeseries" },
  },
  {
    title: "Disks at work",
    expr: 'muster_host_disk_busy_ratio{host=~"$host"}',
    ...{ legend: "{{host}} {{device}}", unit: "percentunit", as: "timeseries" },
  },
  {
    title: "Read from disks",
    expr: 'rate(muster_host_disk_read_bytes_total{host=~"$host"}[5m])',
    ...{ legend: "{{host}} {{device}}", unit: "Bps", as: "timeseries" },
  },
  {
    title: "Written to disks",
    expr: 'rate(muster_host_disk_written_bytes_total{host=~"$host"}[5m])',
    ...{ legend: "{{host}} {{device}}", unit: "Bps", as: "timeseries" },
  },
  {
    title: "Received damaged, a second",
    expr: 'rate(muster_host_network_receive_errors_total{host=~"$host"}[5m])',
    ...{ legend: "{{host}} {{interface}}", unit: "short", as: "timeseries" },
  },
  {
    title: "Not sent for a fault, a second",
    expr: 'rate(muster_host_network_transmit_errors_total{host=~"$host"}[5m])',
    ...{ legend: "{{host}} {{interface}}", unit: "short", as: "timeseries" },
  },
  {
    title: "Dropped, a second",
    expr: 'rate(muster_host_network_receive_dropped_total{host=~"$host"}[5m]) + rate(muster_host_network_transmit_dropped_total[5m])',
    ...{ legend: "{{host}} {{interface}}", unit: "short", as: "timeseries" },
  },
  {
    title: "Temperatures",
    expr: 'muster_host_temperature_celsius{host=~"$host"}',
    ...{ legend: "{{host}} {{sensor}}", unit: "celsius", as: "timeseries" },
  },
  {
    title: "Clock ahead of its time server by",
    expr: 'muster_host_clock_offset_seconds{host=~"$host"}',
    ...{ legend: "{{host}}", unit: "s", as: "timeseries" },
  },
  {
    title: "Clocks that follow no time server",
    expr: 'count(muster_host_clock_synchronized{host=~"$host"} == 0) or vector(0)',
    ...{ legend: "not followed", unit: "none", as: "stat", red_from: 1 },
  },
  {
    title: "Programs ended for want of memory, in an hour",
    expr: 'sum by (host) (increase(muster_host_oom_kills_total{host=~"$host"}[1h]))',
    ...{ legend: "{{host}}", unit: "none", as: "stat", red_from: 1 },
  },
  {
    title: "Reboots that are due",
    expr: 'sum(muster_host_reboot_due{host=~"$host"}) or vector(0)',
    ...{ legend: "due", unit: "none", as: "stat" },
  },
  {
    title: "Swapped out",
    expr: 'muster_host_swap_used_bytes{host=~"$host"}',
    ...{ legend: "{{host}}", unit: "bytes", as: "timeseries" },
  },
];

export const COLLECTED: readonly Panel[] = [
  {
    title: "Faults",
    expr: 'sum by (host, kind) (muster_host_faults{host=~"$host", colour="red"}) > 0 or vector(0)',
    ...{ legend: "{{host}} {{kind}}", unit: "none", as: "table" },
  },
  {
    title: "Containers not running",
    expr: 'count(muster_container_up{host=~"$host"} == 0 and muster_container_declared == 1) or vector(0)',
    ...{ legend: "down", unit: "none", as: "stat", red_from: 1 },
  },
  {
    title: "Units not as declared",
    expr: 'count(muster_service_as_declared{host=~"$host"} == 0) or vector(0)',
    ...{ legend: "not as declared", unit: "none", as: "stat", red_from: 1 },
  },
  {
    title: "Tunnels that are silent",
    expr: 'count(muster_wireguard_peer_up{host=~"$host"} == 0) or vector(0)',
    ...{ legend: "silent", unit: "none", as: "stat", red_from: 1 },
  },
  {
    title: "Security updates that wait",
    expr: 'sum(muster_host_packages_security{host=~"$host"}) or vector(0)',
    ...{ legend: "waiting", unit: "none", as: "stat", red_from: 1 },
  },
  {
    title: "Memory of containers",
    expr: 'muster_container_memory_bytes{host=~"$host"}',
    ...{ legend: "{{host}} {{container}}", unit: "bytes", as: "timeseries" },
  },
  {
    title: "Processors that containers keep busy",
    expr: 'muster_container_cpus_busy{host=~"$host"}',
    ...{ legend: "{{host}} {{container}}", unit: "short", as: "timeseries" },
  },
  {
    title: "Containers started anew, in an hour",
    expr: 'increase(muster_container_restarts_total{host=~"$host"}[1h])',
    ...{ legend: "{{host}} {{container}}", unit: "none", as: "timeseries", red_from: 1 },
  },
  {
    title: "Received by containers",
    expr: 'rate(muster_container_network_receive_bytes_total{host=~"$host"}[5m])',
    ...{ legend: "{{host}} {{container}}", unit: "Bps", as: "timeseries" },
  },
  {
    title: "Sent by containers",
    expr: 'rate(muster_container_network_transmit_bytes_total{host=~"$host"}[5m])',
    ...{ legend: "{{host}} {{container}}", unit: "Bps", as: "timeseries" },
  },
  {
    title: "Docker engines that answer",
    expr: 'muster_container_engine_up{host=~"$host"}',
    ...{ legend: "{{host}}", unit: "none", as: "timeseries" },
  },
  {
    title: "Memory of units",
    expr: 'muster_service_memory_bytes{host=~"$host"}',
    ...{ legend: "{{host}} {{unit}}", unit: "bytes", as: "timeseries" },
  },
  {
    title: "Units started anew, in an hour",
    expr: 'increase(muster_service_restarts_total{host=~"$host"}[1h])',
    ...{ legend: "{{host}} {{unit}}", unit: "none", as: "timeseries", red_from: 1 },
  },
  {
    title: "Since hands were shaken",
    expr: 'time() - muster_wireguard_peer_handshake_timestamp_seconds{host=~"$host"}',
    ...{ legend: "{{host}} {{interface}}", unit: "s", as: "timeseries" },
  },
  {
    title: "Received over tunnels",
    expr: 'rate(muster_wireguard_peer_receive_bytes_total{host=~"$host"}[5m])',
    ...{ legend: "{{host}} {{interface}}", unit: "Bps", as: "timeseries" },
  },
  {
    title: "Sent over tunnels",
    expr: 'rate(muster_wireguard_peer_transmit_bytes_total{host=~"$host"}[5m])',
    ...{ legend: "{{host}} {{interface}}", unit: "Bps", as: "timeseries" },
  },
  {
    title: "Certificates by what is left",
    expr: 'sort(muster_watched_certificate_expiry_timestamp_seconds{host=~"$host"} - time())',
    ...{ legend: "{{host}} {{certificate}} {{where}}", unit: "s", as: "table" },
  },
  {
    title: "Certificates that are not well",
    expr: 'muster_watched_certificate_ok{host=~"$host"} == 0',
    ...{ legend: "{{host}} {{certificate}} {{where}}", unit: "none", as: "table" },
  },
  {
    title: "Updates that wait",
    expr: 'muster_host_packages_pending{host=~"$host"}',
    ...{ legend: "{{host}}", unit: "none", as: "timeseries" },
  },
  {
    title: "Since the lists of packages were fetched",
    expr: 'time() - muster_host_packages_refreshed_timestamp_seconds{host=~"$host"}',
    ...{ legend: "{{host}}", unit: "s", as: "timeseries" },
  },
  {
    title: "Of a measuring host, what holds",
    expr: 'muster_probe_reason{host=~"$host"}',
    ...{ legend: "{{host}} {{check}} {{reason}}", unit: "none", as: "timeseries" },
  },
];
