/** Reads the texts of /proc that health needs. Source: proc(5). */
import { readFileSync } from "node:fs";
import type { Health } from "@muster/protocol";

const INTERFACES = 256;
const DISKS = 64;

/** Of `/proc/stat`: clock ticks of all cores, busy and in all; waiting for disks counts as idle. */
export function cpuTimes(text: string): { busy: number; total: number } {
  const fields = (text.split("\n")[0] ?? "").trim().split(/\s+/).slice(1).map(Number);
  // guest and guest_nice are counted in user and nice already.
  const total = fields.slice(0, 8).reduce((sum, value) => sum + value, 0);
  return { total, busy: total - (fields[3] ?? 0) - (fields[4] ?? 0) };
}

const MODES = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"] as const;
export type CpuTicks = Readonly<Record<(typeof MODES)[number], number>>;

/** Of `/proc/stat`: clock ticks of all cores by mode. */
export function cpuTicks(text: string): CpuTicks {
  const fields = (text.split("\n")[0] ?? "").trim().split(/\s+/).slice(1).map(Number);
  return Object.fromEntries(MODES.map((mode, at) => [mode, fields[at] ?? 0])) as CpuTicks;
}

/** The share of each mode between two readings; null when no time has passed. */
export function cpuShares(before: CpuTicks, now: CpuTicks): Health["cpu_modes"] {
  const spent = (mode: keyof CpuTicks) => Math.max(0, now[mode] - before[mode]);
  const total = MODES.reduce((sum, mode) => sum + spent(mode), 0);
  if (total === 0) return null;
  const share = (...modes: (keyof CpuTicks)[]) =>
    Math.round((1_000 * modes.reduce((sum, mode) => sum + spent(mode), 0)) / total) / 1_000;
  return {
    user: share("user"),
    nice: share("nice"),
    system: share("system"),
    iowait: share("iowait"),
    irq: share("irq", "softirq"),
    steal: share("steal"),
    idle: share("idle"),
  };
}

type Pressure = NonNullable<NonNullable<Health["pressure"]>["cpu"]>;

/** Of `/proc/pressure/*`; null for a kernel that has none. */
export function pressureOf(text: string | null): Pressure | null {
  const stall = (kind: string) => {
    const match = new RegExp(`^${kind} avg10=([\\d.]+) avg60=([\\d.]+)`, "m").exec(text ?? "");
    return match === null ? null : { avg10: Number(match[1]), avg60: Number(match[2]) };
  };
  const some = stall("some");
  return some === null ? null : { some, full: stall("full") };
}

/** Of `/proc/vmstat`; null for a kernel that does not count them. */
export function oomKillsOf(text: string): number | null {
  const match = /^oom_kill (\d+)$/m.exec(text);
  return match === null ? null : Number(match[1]);
}

export type DiskCounters = {
  readonly device: string;
  readonly read_bytes: number;
  readonly written_bytes: number;
  readonly busy_ms: number;
};
const SECTOR_BYTES = 512;
/** Parts of disks, and what is no disk of the machine: loop, memory and CD devices, and what lies on top of others. */
const NO_DISK = /^(loop|ram|zram|sr|fd|dm-|md|nbd|(sd|hd|vd|xvd)[a-z]+\d|(nvme\d+n|mmcblk)\d+p\d)/;

/** Of `/proc/diskstats`: disks that have done anything. */
export function disksIoOf(text: string): DiskCounters[] {
  return text
    .split("\n")
    .flatMap((line) => {
      const fields = line.trim().split(/\s+/);
      const [device = ""] = fields.slice(2);
      const count = (at: number) => Number(fields[at] ?? 0);
      if (device === "" || NO_DISK.test(device) || count(3) + count(7) === 0) return [];
      return [
        {
          device,
          read_bytes: count(5) * SECTOR_BYTES,
          written_bytes: count(9) * SECTOR_BYTES,
          busy_ms: count(12),
        },
      ];
    })
    .slice(0, DISKS);
}

export function loadOf(text: string): [number, number, number] {
  const [one = 0, five = 0, fifteen = 0] = text.split(" ").slice(0, 3).map(Number);
  return [one, five, fifteen];
}

export function memoryOf(text: string): Health["memory"] {
  const bytes = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? 0) * 1_024;
  return {
    total_bytes: bytes("MemTotal"),
    available_bytes: bytes("MemAvailable"),
    swap_used_bytes: bytes("SwapTotal") - bytes("SwapFree"),
  };
}

/** Of `/proc/net/dev`, without the loopback. */
export function interfacesOf(text: string): Health["interfaces"] {
  const rows = text
    .split("\n")
    .slice(2)
    .flatMap((line) => {
      const match = /^\s*([^:]+):\s*(.*)$/.exec(line);
      const [, name = "", numbers = ""] = match ?? [];
      return match === null || name === "lo"
        ? []
        : [{ name, fields: numbers.trim().split(/\s+/).map(Number) }];
    })
    .slice(0, INTERFACES);
  return rows.map(({ name, fields }) => ({
    name,
    rx_bytes: fields[0] ?? 0,
    tx_bytes: fields[8] ?? 0,
    rx_errors: fields[2] ?? 0,
    tx_errors: fields[10] ?? 0,
    rx_dropped: fields[3] ?? 0,
    tx_dropped: fields[11] ?? 0,
    up: isUp(name),
  }));
}

/** Of `/proc/mounts`: one mount point for each device; the root of a container counts as one. */
export function disksOf(text: string): string[] {
  const by_device = new Map<string, string>();
  for (const line of text.split("\n")) {
    const [device = "", place = "", type = ""] = line.split(" ");
    const mount = place.replace(/\\(\d{3})/g, (_, octal: string) =>
      String.fromCharCode(Number.parseInt(octal, 8)),
    );
    const is_disk = device.startsWith("/dev/") || type === "zfs" || (type === "overlay" && mount === "/");
    const held = by_device.get(device);
    if (is_disk && (held === undefined || mount.length < held.length)) by_device.set(device, mount);
  }
  return [...by_device.values()];
}

/**
 * A file of /proc or /sys; null where it is not there. At once: no disk is waited for, and a turn through libuv's threads costs several times the reading.
 */
export function kernelText(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // A kernel without it, or a thing that went between two reads.
    return null;
  }
}

/** `unknown` is what tunnels and bridges say that cannot tell: they are not down. */
export function isUp(name: string): boolean {
  const state = kernelText(`/sys/class/net/${name}/operstate`)?.trim();
  return state === "up" || state === "unknown";
}
