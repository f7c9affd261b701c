/** The one form in which every program shows an instant to people. Pure. */

/** `2026-11-21 03:12 UTC`; the minute that has begun. */
export function timeText(at_ms: number): string {
  return `${new Date(at_ms).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}
