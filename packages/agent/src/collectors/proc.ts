/** Reads the texts of /proc that health needs. Source: proc(5). */
import { readFile } from "node:fs/promises";
import type { Health } from "@muster/protocol";

const INTERFACES = 256;

/** Of `/proc/stat`: clock ticks of all cores, busy and in all; waiting for disks counts as idle. */
export function cpuTimes(text: string): { busy: number; total: number } {
  const fields = (text.split("\n")[0] ?? "").trim().split(/\s+/).slice(1).map(Number);
  // guest and guest_nice are counted in user and nice already.
  const total = fields.slice(0, 8).reduce((sum, value) => sum + value, 0);
  return { total, busy: total - (fields[3] ?? 0) - (fields[4] ?? 0) };
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
export async function interfacesOf(text: string): Promise<Health["interfaces"]> {
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
  return Promise.all(
    rows.map(async ({ name, fields }) => ({
      name,
      rx_bytes: fields[0] ?? 0,
      tx_bytes: fields[8] ?? 0,
      up: await isUp(name),
    })),
  );
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

/** `unknown` is what tunnels and bridges say that cannot tell: they are not down. */
export async function isUp(name: string): Promise<boolean> {
  try {
    const state = (await readFile(`/sys/class/net/${name}/operstate`, "utf8")).trim();
    return state === "up" || state === "unknown";
  } catch {
    // It went between two reads.
    return false;
  }
}
