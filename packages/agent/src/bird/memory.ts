/** Reads `show memory`: what BIRD has taken in all. */
import type { BirdReply } from "./framing.ts";

const UNITS: Readonly<Record<string, number>> = { B: 1, kB: 1_024, MB: 1_024 ** 2, GB: 1_024 ** 3 };

/** The line `Total:`, its overhead included where the version tells it apart; null if there is none. */
export function memoryBytes(reply: BirdReply): number | null {
  const total = reply.lines.find(({ text }) => /^\s*Total:/.test(text))?.text;
  if (total === undefined) return null;
  const parts = [...total.matchAll(/([\d.]+)\s+([kMG]?B)\b/g)];
  if (parts.length === 0) return null;
  return Math.round(
    parts.reduce((sum, [, count, unit = "B"]) => sum + Number(count) * (UNITS[unit] ?? 1), 0),
  );
}
