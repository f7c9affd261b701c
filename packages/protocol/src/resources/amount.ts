/** Durations and sizes as a Compose file has them: `90s`, `1m30s`, `512m`. One place to read them. */
import { z } from "zod";

const UNIT_MS = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const;
const UNIT_BYTES = { b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 } as const;

export const Duration = z
  .string()
  .max(32)
  .regex(/^(?=\d)(?:\d+h)?(?:\d+m(?!s))?(?:\d+s)?(?:\d+ms)?$/, "must be a duration such as 90s or 1m30s");

export const Size = z
  .string()
  .max(16)
  .regex(/^\d+(?:\.\d+)?(?:b|[kmg]b?)$/, "must be a size with its unit, such as 512m or 2g");

/** `1m30s` → 90000. */
export function durationMs(text: string): number {
  let total = 0;
  for (const [, digits, unit] of text.matchAll(/(\d+)(ms|h|m|s)/g))
    total += Number(digits) * UNIT_MS[unit as keyof typeof UNIT_MS];
  return total;
}

/** `512m` → 536870912. */
export function sizeBytes(text: string): number {
  return Math.round(Number.parseFloat(text) * UNIT_BYTES[text.replace(/[\d.]/g, "")[0] as "b"]);
}
