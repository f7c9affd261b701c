/** Telemetry `health`: how the server itself is. Cheap parts every 10 s, dear parts (disks, failed units) every minute. */
import { z } from "zod";
import { Instant } from "../names.ts";

export const HEALTH_PERIOD_MS = 10_000;

export const Health = z.object({
  at: Instant,
  uptime_s: z.number(),
  load: z.array(z.number()).length(3).describe("Over 1, 5 and 15 minutes."),
  cpu_busy: z
    .number()
    .min(0)
    .max(1)
    .nullable()
    .describe("Share of all cores since the sample before; null in the first."),
  cores: z.int(),
  memory: z.object({ total_bytes: z.number(), available_bytes: z.number(), swap_used_bytes: z.number() }),
  disks: z
    .array(z.object({ mount: z.string(), size_bytes: z.number(), used_bytes: z.number() }))
    .describe("As of the last dear sample."),
  interfaces: z.array(
    z.object({ name: z.string(), rx_bytes: z.number(), tx_bytes: z.number(), up: z.boolean() }),
  ),
  failed_units: z.array(z.string()).describe("systemd units in state failed, as of the last dear sample."),
  agent: z.object({ rss_bytes: z.number(), cpu_s: z.number(), uptime_s: z.number() }),
});
export type Health = z.infer<typeof Health>;
