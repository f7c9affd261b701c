/**
 * Telemetry `containers`: every container of the host's Docker engine, declared or not, joined with what was declared: one that should be there and is not
 * stands in it as `missing`. Looked at when the engine tells of an event and every 10 s, sent when something changed, else once a minute with what they use.
 */
import { z } from "zod";
import { Instant } from "../names.ts";
import { faulty } from "./fault.ts";

export const CONTAINERS_PERIOD_MS = 60_000;
export const CONTAINERS_LIMIT = 500;

export const ContainerVerdict = z
  .enum(["ok", "down", "missing", "unhealthy", "restarting", "idle", "unknown"])
  .catch("unknown");
export type ContainerVerdict = z.infer<typeof ContainerVerdict>;

export const ContainerRow = z.object({
  name: z.string().describe("Its name at the engine."),
  declared: z.boolean().describe("Whether Muster manages it."),
  state: z
    .string()
    .describe(
      "The engine's word: running, exited, …; `missing` if it has none, `unknown` if it does not answer.",
    ),
  since: Instant.nullable().describe("Since when it runs, or does not; null = not known."),
  image: z.string().nullable().describe("The image by the name that it was made with."),
  image_id: z.string().nullable().describe("The image's id: what really runs."),
  health: z.string().nullable().describe("healthy, unhealthy or starting; null without a health check."),
  exit_code: z.int().nullable().describe("How it ended; null while it runs, or not known."),
  restarts: z
    .int()
    .nullable()
    .describe("Times the engine started it anew since it was made; null = not known."),
  oom_killed: z
    .boolean()
    .nullable()
    .describe("When it last ended it had no memory left, also while it runs again; null = not known."),
  ended_at: Instant.nullable()
    .default(null)
    .describe("When it last ended, also while it runs again; null = never, or not known."),
  ended_with: z
    .int()
    .nullable()
    .default(null)
    .describe("The code that it last ended with, also while it runs again; null = not known."),
  oom_at: Instant.nullable()
    .default(null)
    .describe(
      "When the kernel last killed a process of it for want of memory, whether it ended by that or not; null = not seen.",
    ),
  cpu: z
    .number()
    .nullable()
    .describe("Processors that it kept busy over the last minute; null = not measured."),
  memory_bytes: z.int().nullable().describe("Memory without what can be dropped; null = not measured."),
  memory_limit_bytes: z.int().nullable().describe("Most that it may have; null = no limit, or not measured."),
  rx_bytes: z
    .int()
    .nullable()
    .describe("Received over all its networks; null = none of its own, or not measured."),
  tx_bytes: z
    .int()
    .nullable()
    .describe("Sent over all its networks; null = none of its own, or not measured."),
  verdict: ContainerVerdict.describe(
    "Declared against seen; `idle`: it does not run and nobody asked for it.",
  ),
});
export type ContainerRow = z.infer<typeof ContainerRow>;

export const ContainersSample = z
  .object({
    ...faulty,
    engine: z
      .object({
        reachable: z.boolean().describe("False: it did not answer, and the state of all is unknown."),
        error: z.string().nullable().describe("Why, in its words."),
      })
      .describe("The Docker engine."),
    containers: z.array(ContainerRow).max(CONTAINERS_LIMIT).describe("Declared ones first."),
    left_out: z.int().describe("Undeclared ones that did not fit."),
  })
  .describe("The containers of the host's Docker engine, declared against seen.");
export type ContainersSample = z.infer<typeof ContainersSample>;
