/**
 * Health of the server: cheap parts from /proc at every sample (0.2 ms), dear parts (disks may answer slowly,
 * failed units start a process) once a minute. `systeminformation` costs 11 MB and starts shells: it is kept for the facts that are asked for.
 */
import { readFile, statfs } from "node:fs/promises";
import { cpus } from "node:os";
import type { Health } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import type { Ports } from "../ports/index.ts";
import { cpuTimes, disksOf, interfacesOf, loadOf, memoryOf } from "./proc.ts";

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

/** File systems on a device, each once: bind mounts of one device show the same numbers. */
async function disksNow(): Promise<Health["disks"]> {
  const mounts = disksOf(await readFile("/proc/mounts", "utf8")).slice(0, 256);
  const sizes = await Promise.all(
    mounts.map(async (mount) => {
      try {
        const { bsize, blocks, bfree } = await statfs(mount);
        return [{ mount, size_bytes: blocks * bsize, used_bytes: (blocks - bfree) * bsize }];
      } catch {
        // It was unmounted between two reads, or may not be looked at.
        return [];
      }
    }),
  );
  return sizes.flat().filter(({ size_bytes }) => size_bytes > 0);
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
