/** The table of telemetry kinds: one schema and period a kind. Readers are tolerant: an older agent may say less, a newer one more. */
import type { z } from "zod";
import { BgpSample } from "./bgp.ts";
import { CHECKS_PERIOD_MS, ChecksSample } from "./checks.ts";
import { CONVERGENCE_PERIOD_MS, Convergence, watched } from "./convergence.ts";
import { HEALTH_PERIOD_MS, Health } from "./health.ts";

export const TELEMETRY = {
  health: { sample: Health, period_ms: HEALTH_PERIOD_MS },
  bgp: { sample: BgpSample, period_ms: 10_000 },
  checks: { sample: ChecksSample, period_ms: CHECKS_PERIOD_MS },
  convergence: { sample: Convergence, period_ms: CONVERGENCE_PERIOD_MS },
} as const;

/** A sample that is older than so many of its periods says nothing of now: its collector is blind. */
export const FRESH_PERIODS = 3;

export type TelemetryKind = keyof typeof TELEMETRY;
export const TELEMETRY_KINDS = Object.keys(TELEMETRY) as [TelemetryKind, ...TelemetryKind[]];
export type Sample<K extends TelemetryKind> = z.output<(typeof TELEMETRY)[K]["sample"]>;

export { BgpSample, ChecksSample, Convergence, Health, watched };
