/** Telemetry `health`: how the server itself is. Cheap parts every 10 s, dear parts (disks, failed units) every minute. */
import { z } from "zod";
import { Instant } from "../names.ts";

export const HEALTH_PERIOD_MS = 10_000;

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
        }),
      )
      .describe("As of the last dear sample."),
    interfaces: z
      .array(
        z.object({
          name: z.string().describe("Name of the interface."),
          rx_bytes: z.number().describe("Received since it came up."),
          tx_bytes: z.number().describe("Sent since it came up."),
          up: z.boolean().describe("Whether it carries traffic."),
        }),
      )
      .describe("Network interfaces, without loopback."),
    failed_units: z.array(z.string()).describe("systemd units in state failed, as of the last dear sample."),
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
