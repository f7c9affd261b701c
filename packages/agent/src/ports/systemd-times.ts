/** Times as systemd prints them. */
import { uptime } from "node:os";

/** `Sat 2026-11-21 09:33:00 UTC`; another zone than UTC is not read: its name is no offset. */
export function timestamp(text: string): number | null {
  const match = /^\w+ (\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}:\d{2}) UTC$/.exec(text);
  return match === null ? null : Date.parse(`${match[1]}T${match[2]}Z`);
}

const SPANS_MS: Readonly<Record<string, number>> = {
  us: 0.001,
  ms: 1,
  s: 1_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
  month: 2_629_800_000,
  y: 31_557_600_000,
};

/** `1h 2min 3.5s` after the boot, as an instant. */
export function sinceBoot(text: string): number | null {
  const parts = [...text.matchAll(/([\d.]+)(us|ms|s|min|h|d|w|month|y)\b/g)];
  if (parts.length === 0) return null;
  const span_ms = parts.reduce((sum, [, count, unit = ""]) => sum + Number(count) * (SPANS_MS[unit] ?? 0), 0);
  return Math.round(Date.now() - uptime() * 1_000 + span_ms);
}
