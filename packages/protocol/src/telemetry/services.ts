/** Telemetry `services`: the declared services and timers as systemd has them, each in a row, whether systemd knows it or not. Once a minute, and when one changes. */
import { z } from "zod";
import { Instant, ResourceRef } from "../names.ts";
import { faulty } from "./fault.ts";

export const SERVICES_PERIOD_MS = 60_000;
export const SERVICES_LIMIT = 1_000;

export const ServiceVerdict = z.enum(["ok", "down", "up", "failed", "missing", "unknown"]).catch("unknown");
export type ServiceVerdict = z.infer<typeof ServiceVerdict>;

export const ServiceRow = z.object({
  unit: z.string().describe("The unit with its type, such as bird.service."),
  ref: ResourceRef,
  wanted: z.enum(["running", "stopped"]).catch("running").describe("What is declared; a timer is to run."),
  active: z
    .string()
    .describe("systemd's ActiveState; `missing` if it knows no such unit, `unknown` if it did not answer."),
  sub: z.string().nullable().describe("systemd's SubState: running, exited, waiting, …; null = not known."),
  since: Instant.nullable().describe("Since when that state holds; null = not known."),
  restarts: z
    .int()
    .nullable()
    .describe("Times systemd started it anew by itself; null = not known, or no service."),
  memory_bytes: z
    .int()
    .nullable()
    .describe("Memory of all its processes; null = not measured, or it does not run."),
  result: z.string().nullable().describe("How it ended, in systemd's word; null = well, or not known."),
  verdict: ServiceVerdict.describe("Declared against seen; `up`: it runs and should not."),
});
export type ServiceRow = z.infer<typeof ServiceRow>;

export const ServicesSample = z
  .object({
    ...faulty,
    systemd: z
      .object({
        reachable: z.boolean().describe("False: it did not answer, and the state of all is unknown."),
        error: z.string().nullable().describe("Why, in its words."),
      })
      .describe("systemd."),
    services: z.array(ServiceRow).max(SERVICES_LIMIT).describe("One for each declared service and timer."),
  })
  .describe("Declared services and timers as systemd has them.");
export type ServicesSample = z.infer<typeof ServicesSample>;
