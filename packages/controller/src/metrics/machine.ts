/** The metrics of the machine below a host, in the form of `host.ts`: processor by mode, pressure, disks, links, sensors, clock, reboot. */
import type { Health } from "@muster/protocol";
import { counter, each, gauge, type HostMetric } from "./metric.ts";

type Type = HostMetric["type"];
type Link = Health["interfaces"][number];
type Disk = Health["disks"][number];
type Device = NonNullable<Health["disk_io"]>[number];

const link = (name: HostMetric["name"], help: string, of: (one: Link) => number | undefined) =>
  each(
    name,
    help,
    ["interface"],
    ({ health }) => (health?.interfaces ?? []).map((one) => [[one.name], of(one) ?? null]),
    "counter",
  );
const disk = (name: HostMetric["name"], help: string, of: (one: Disk) => number | null | undefined) =>
  each(name, help, ["mount"], ({ health }) =>
    (health?.disks ?? []).map((one) => [[one.mount], of(one) ?? null]),
  );
const device = (name: HostMetric["name"], help: string, of: (one: Device) => number | null, type?: Type) =>
  each(
    name,
    help,
    ["device"],
    ({ health }) => (health?.disk_io ?? []).map((one) => [[one.device], of(one)]),
    type,
  );

export const MACHINE_METRICS: readonly HostMetric[] = [
  each(
    "muster_host_cpu_mode_ratio",
    "Share of all cores by mode since the sample before, 0 to 1.",
    ["mode"],
    ({ health }) => Object.entries(health?.cpu_modes ?? {}).map(([mode, share]) => [[mode], share]),
  ),
  each(
    "muster_host_pressure_ratio",
    "Share of the last 60 s in which programs waited for it, some of them or all (PSI).",
    ["resource", "who"],
    function* ({ health }) {
      for (const [resource, told] of Object.entries(health?.pressure ?? {})) {
        if (told === null) continue;
        yield [[resource, "some"], told.some.avg60 / 100];
        yield [[resource, "full"], told.full === null ? null : told.full.avg60 / 100];
      }
    },
  ),
  counter(
    "muster_host_oom_kills_total",
    "Programs that the kernel ended for want of memory.",
    ({ health }) => health?.oom_kills,
  ),
  disk("muster_host_filesystem_inodes", "Files that it can hold.", ({ inodes }) => inodes),
  disk("muster_host_filesystem_inodes_used", "Files that it holds.", ({ inodes_used }) => inodes_used),
  disk(
    "muster_host_filesystem_full_in_seconds",
    "Until it is full, as it filled over the last hours.",
    (one) => one.full_in_s,
  ),
  disk(
    "muster_host_filesystem_inodes_full_in_seconds",
    "Until it holds all the files that it can, as they came over the last hours.",
    (one) => one.inodes_full_in_s,
  ),
  device("muster_host_disk_read_bytes_total", "Read.", ({ read_bytes }) => read_bytes, "counter"),
  device("muster_host_disk_written_bytes_total", "Written.", ({ written_bytes }) => written_bytes, "counter"),
  device(
    "muster_host_disk_busy_ratio",
    "Share of the time in which it worked since the sample before.",
    ({ busy }) => busy,
  ),
  link("muster_host_network_receive_errors_total", "Received damaged.", ({ rx_errors }) => rx_errors),
  link("muster_host_network_transmit_errors_total", "Not sent for a fault.", ({ tx_errors }) => tx_errors),
  link("muster_host_network_receive_dropped_total", "Received and dropped.", ({ rx_dropped }) => rx_dropped),
  link(
    "muster_host_network_transmit_dropped_total",
    "To be sent and dropped.",
    ({ tx_dropped }) => tx_dropped,
  ),
  each("muster_host_temperature_celsius", "Degrees at a sensor.", ["sensor"], ({ health }) =>
    (health?.temperatures ?? []).map(({ sensor, celsius }) => [[sensor], celsius]),
  ),
  gauge("muster_host_clock_synchronized", "1 = it follows a time server.", ({ health }) =>
    health?.clock == null ? null : Number(health.clock.synchronized),
  ),
  gauge(
    "muster_host_clock_offset_seconds",
    "By how much it is ahead of its time server.",
    ({ health }) => health?.clock?.offset_s,
  ),
  gauge("muster_host_reboot_due", "1 = a package or a newer kernel waits for a reboot.", ({ health }) =>
    health?.reboot === undefined ? null : Number(health.reboot.due),
  ),
];
