/**
 * Health of the server: cheap parts from /proc at every sample (0.2 ms), dear parts (disks, failed units: processes are started) once a minute.
 */
import { readFile } from "node:fs/promises";
import { cpus } from "node:os";
import type { Health } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import type { Ports } from "../ports/index.ts";
import { cpuTimes, interfacesOf, loadOf, memoryOf } from "./proc.ts";

const DEAR_PERIOD_MS = 60_000;
const COMMAND_MS = 10_000;

export type HealthCollector = { sample(signal: AbortSignal): Promise<Health> };

export function createHealth(ports: Ports): HealthCollector {
  let cpu: { busy: number; total: number } | null = null;
  let dear: { at: number; disks: Health["disks"]; failed_units: string[] } | null = null;

  return {
    async sample(signal) {
      const now = ports.now();
      if (dear === null || now - dear.at >= DEAR_PERIOD_MS || now < dear.at) {
        const [disks, failed_units] = await Promise.all([disksNow(), failedUnits(ports, signal)]);
        dear = { at: now, disks, failed_units };
      }
      const [stat, load, memory, net, uptime] = await Promise.all(
        ["stat", "loadavg", "meminfo", "net/dev", "uptime"].map((name) => readFile(`/proc/${name}`, "utf8")),
      );
      const times = cpuTimes(stat ?? "");
      const total = cpu === null ? 0 : times.total - cpu.total;
      const cpu_busy =
        cpu === null || total <= 0 ? null : Math.min(1, Math.max(0, (times.busy - cpu.busy) / total));
      cpu = times;
      const own = process.cpuUsage();
      return {
        at: now,
        uptime_s: Number((uptime ?? "0").split(" ")[0]),
        load: loadOf(load ?? ""),
        cpu_busy: cpu_busy === null ? null : Math.round(cpu_busy * 1_000) / 1_000,
        cores: cpus().length,
        memory: memoryOf(memory ?? ""),
        disks: dear.disks,
        interfaces: await interfacesOf(net ?? ""),
        failed_units: dear.failed_units,
        agent: {
          rss_bytes: process.memoryUsage.rss(),
          cpu_s: Math.round((own.user + own.system) / 10_000) / 100,
          uptime_s: Math.round(process.uptime()),
        },
      };
    },
  };
}

/** The library knows which mounts are disks on which system; it starts `df`. */
async function disksNow(): Promise<Health["disks"]> {
  const { fsSize } = await import("systeminformation");
  const sizes = await fsSize();
  return sizes
    .filter(({ size }) => size > 0)
    .slice(0, 256)
    .map(({ mount, size, used }) => ({ mount, size_bytes: size, used_bytes: used }));
}

async function failedUnits(ports: Ports, signal: AbortSignal): Promise<string[]> {
  if (!(await ports.systemd.available())) return [];
  try {
    const args = ["list-units", "--state=failed", "--plain", "--no-legend", "--no-pager"];
    const { stdout } = await ports.run("systemctl", args, { timeout_ms: COMMAND_MS }, signal);
    return stdout
      .split("\n")
      .flatMap((line) => line.trim().split(/\s+/)[0] ?? [])
      .filter(Boolean)
      .slice(0, 256);
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    return [];
  }
}
