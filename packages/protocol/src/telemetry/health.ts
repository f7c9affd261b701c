/**
 * Telemetry `health`: how the server itself is. Cheap parts every 10 s, dear parts (disks, failed units, temperatures, the clock) every minute. Of what an older agent
 * does not tell the field is absent; what a kernel or a machine does not have is null.
 */
import { z } from "zod";
import { Instant } from "../names.ts";

export const HEALTH_PERIOD_MS = 10_000;

const Share = z.number().min(0).max(1);
const Stall = z.object({
  avg10: z.number().describe("Share of the last 10 s in percent."),
  avg60: z.number().describe("Share of the last 60 s in percent."),
});
const Pressure = z
  .object({
    some: Stall.describe("Some programs waited."),
    full: Stall.nullable().describe("All programs waited; null where the kernel does not tell."),
  })
  .nullable();

export const Health = z
  .object({
    at: Instant,
    uptime_s: z.number().describe("Since the machine was started."),
    load: z.array(z.number()).length(3).describe("Over 1, 5 and 15 minutes."),
    cpu_busy: z
      .number()
      .min(0)
      .max(1)
      .nullable()
      .describe("Share of all cores since the sample before; null in the first."),
    cpu_modes: z
      .object({
        user: Share.describe("Programs."),
        nice: Share.describe("Programs of low priority."),
        system: Share.describe("The kernel."),
        iowait: Share.describe("Idle while a disk was waited for."),
        irq: Share.describe("Interrupts, also soft ones."),
        steal: Share.describe("Taken by the machine below this virtual one."),
        idle: Share.describe("Nothing to do."),
      })
      .nullish()
      .describe("Share of all cores by mode since the sample before; null in the first."),
    pressure: z
      .object({
        cpu: Pressure.describe("For a processor; null = this kernel does not tell."),
        memory: Pressure.describe("For memory; null = this kernel does not tell."),
        io: Pressure.describe("For disks; null = this kernel does not tell."),
      })
      .nullish()
      .describe("How much of the time programs had to wait (PSI)."),
    oom_kills: z
      .int()
      .nullish()
      .describe("Programs that the kernel ended since the start for want of memory."),
    cores: z.int().describe("Processors that programs see."),
    memory: z
      .object({
        total_bytes: z.number().describe("All of it."),
        available_bytes: z.number().describe("What programs could still have."),
        swap_used_bytes: z.number().describe("Moved out to disk."),
      })
      .describe("As /proc/meminfo has it."),
    disks: z
      .array(
        z.object({
          mount: z.string().describe("Where it is mounted."),
          size_bytes: z.number().describe("All of it."),
          used_bytes: z.number().describe("In use."),
          inodes: z
            .number()
            .nullish()
            .describe("Files that it can hold; null = as many as there is room for."),
          inodes_used: z.number().nullish().describe("Files that it holds; null as `inodes`."),
          full_in_s: z
            .number()
            .nullish()
            .describe(
              "Seconds until it is full if it goes on as in the last hours; null = it does not, or not known yet.",
            ),
          inodes_full_in_s: z
            .number()
            .nullish()
            .describe("Seconds until it holds all the files that it can, as `full_in_s`."),
        }),
      )
      .describe("As of the last dear sample."),
    disk_io: z
      .array(
        z.object({
          device: z.string().describe("Name of the disk."),
          read_bytes: z.number().describe("Read since the start."),
          written_bytes: z.number().describe("Written since the start."),
          busy: Share.nullable().describe(
            "Share of the time in which it worked, since the sample before; null in the first.",
          ),
        }),
      )
      .optional()
      .describe("Whole disks, not their parts."),
    interfaces: z
      .array(
        z.object({
          name: z.string().describe("Name of the interface."),
          rx_bytes: z.number().describe("Received since it came up."),
          tx_bytes: z.number().describe("Sent since it came up."),
          up: z.boolean().describe("Whether it carries traffic."),
          rx_rate: z
            .number()
            .nullish()
            .describe("Bytes received in a second, since the sample before; null in the first."),
          tx_rate: z
            .number()
            .nullish()
            .describe("Bytes sent in a second, since the sample before; null in the first."),
          rx_errors: z.number().optional().describe("Received damaged, since it came up."),
          tx_errors: z.number().optional().describe("Not sent for a fault, since it came up."),
          rx_dropped: z.number().optional().describe("Received and dropped, since it came up."),
          tx_dropped: z.number().optional().describe("To be sent and dropped, since it came up."),
        }),
      )
      .describe("Network interfaces, without loopback."),
    failed_units: z.array(z.string()).describe("systemd units in state failed, as of the last dear sample."),
    temperatures: z
      .array(
        z.object({
          sensor: z.string().describe("Chip and what it measures."),
          celsius: z.number().describe("Degrees now."),
          critical_celsius: z
            .number()
            .nullable()
            .describe("From where on it is dangerous; null = it does not tell."),
        }),
      )
      .optional()
      .describe("As of the last dear sample; empty on a machine without sensors."),
    clock: z
      .object({
        source: z
          .string()
          .describe("What keeps it: chrony, systemd-timesyncd, or another in systemd's care."),
        synchronized: z.boolean().describe("Whether it follows a time server."),
        offset_s: z
          .number()
          .nullable()
          .describe(
            "By how much it was ahead of the server's when that answered last; null = it does not tell.",
          ),
      })
      .nullish()
      .describe("As of the last dear sample; null = nothing keeps it, or nothing tells."),
    kernel: z.string().optional().describe("The kernel that runs."),
    reboot: z
      .object({
        due: z.boolean().describe("A reboot is waited for."),
        why: z.string().describe("By what; empty if none is."),
      })
      .optional()
      .describe("Whether a package or a newer kernel waits for a reboot."),
    agent: z
      .object({
        rss_bytes: z.number().describe("Memory of its process."),
        cpu_s: z.number().describe("Processor time since its start."),
        uptime_s: z.number().describe("Since its start."),
      })
      .describe("The agent itself."),
  })
  .describe("How the server itself is.");
export type Health = z.infer<typeof Health>;
