/**
 * Health of the server: cheap parts from /proc at every sample (0.4 ms), dear parts (disks may answer slowly, failed units and the clock start a process) once a
 * minute. `systeminformation` costs 11 MB and starts shells: it is kept for the facts that are asked for.
 *
 * Period 10 s, of the dear parts 60 s, of the clock 600 s; cost 0.4 ms and a process a minute; 256 file systems, 256 units, 64 sensors.
 */
import { statfs } from "node:fs/promises";
import { cpus, release } from "node:os";
import type { Health } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import type { Ports } from "../ports/index.ts";
import { createFilling } from "./filling.ts";
import { clockKept, rebootDue, temperatures } from "./machine.ts";
import {
  cpuTicks,
  cpuTimes,
  disksIoOf,
  disksOf,
  interfacesOf,
  kernelText,
  loadOf,
  memoryOf,
  oomKillsOf,
  pressureOf,
} from "./proc.ts";
import { createRates } from "./rates.ts";

const DEAR_PERIOD_MS = 60_000;
/** It changes seldom, and is a process. */
const CLOCK_PERIOD_MS = 600_000;
const COMMAND_MS = 10_000;

export type HealthCollector = { sample(signal: AbortSignal): Promise<Health> };

type Dear = Pick<Health, "disks" | "failed_units" | "temperatures" | "reboot">;
type Timed<T> = { readonly at: number; readonly value: T };

export function createHealth(ports: Ports): HealthCollector {
  const rates = createRates(() => performance.now());
  const [fullIn, inodesFullIn] = [createFilling(), createFilling()];
  let dear: Timed<Dear> | null = null;
  let clock: Timed<Health["clock"]> | null = null;

  const isOld = (part: Timed<unknown>, period_ms: number, now: number) =>
    now - part.at >= period_ms || now < part.at;

  const dearly = async (now: number, signal: AbortSignal): Promise<Dear> => {
    const [disks, failed_units, warm, reboot] = await Promise.all([
      disksNow(),
      failedUnits(ports, signal),
      temperatures(),
      rebootDue(ports),
    ]);
    if (clock === null || isOld(clock, CLOCK_PERIOD_MS, now))
      clock = { at: now, value: await clockKept(ports, signal) };
    return {
      disks: disks.map((disk) => ({
        ...disk,
        full_in_s: fullIn(disk.mount, disk.size_bytes, disk.used_bytes, now),
        inodes_full_in_s:
          disk.inodes === null || disk.inodes_used === null
            ? null
            : inodesFullIn(disk.mount, disk.inodes, disk.inodes_used, now),
      })),
      failed_units,
      temperatures: warm,
      reboot,
    };
  };

  return {
    async sample(signal) {
      const now = ports.now();
      if (dear === null || isOld(dear, DEAR_PERIOD_MS, now))
        dear = { at: now, value: await dearly(now, signal) };
      const [stat = "", load = "", memory = "", net = "", uptime = "0", vmstat = "", diskstats = ""] = [
        "stat",
        "loadavg",
        "meminfo",
        "net/dev",
        "uptime",
        "vmstat",
        "diskstats",
      ].map((name) => kernelText(`/proc/${name}`) ?? undefined);
      // Reading gives an error where the kernel was started without it, though the file is there.
      const [cpu, waits, io] = ["cpu", "memory", "io"].map((name) =>
        pressureOf(kernelText(`/proc/pressure/${name}`)),
      );
      const { cpu_busy, cpu_modes, disk_io, interfaces } = rates({
        busy: cpuTimes(stat),
        ticks: cpuTicks(stat),
        disks: disksIoOf(diskstats),
        interfaces: interfacesOf(net),
      });
      const own = process.cpuUsage();
      return {
        at: now,
        uptime_s: Number(uptime.split(" ")[0]),
        load: loadOf(load),
        cpu_busy,
        cpu_modes,
        pressure: { cpu: cpu ?? null, memory: waits ?? null, io: io ?? null },
        oom_kills: oomKillsOf(vmstat),
        cores: cpus().length,
        memory: memoryOf(memory),
        disk_io,
        interfaces,
        ...dear.value,
        clock: clock?.value ?? null,
        kernel: release(),
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
async function disksNow() {
  const mounts = disksOf(kernelText("/proc/mounts") ?? "").slice(0, 256);
  const sizes = await Promise.all(
    mounts.map(async (mount) => {
      try {
        const { bsize, blocks, bfree, files, ffree } = await statfs(mount);
        // Those that make inodes as they go have no number.
        const inodes = files > 0 ? files : null;
        const inodes_used = files > 0 ? files - ffree : null;
        return [
          { mount, size_bytes: blocks * bsize, used_bytes: (blocks - bfree) * bsize, inodes, inodes_used },
        ];
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
