/** Rates in words. Pure. */

const UNITS = ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"] as const;

/** `410 Mbit/s`; one digit behind the point below ten. */
export function rateText(bits_per_s: number | null): string {
  if (bits_per_s === null) return "-";
  let value = bits_per_s;
  let at = 0;
  while (value >= 1_000 && at < UNITS.length - 1) {
    value /= 1_000;
    at += 1;
  }
  return `${value < 10 && at > 0 ? value.toFixed(1) : Math.round(value)} ${UNITS[at]}`;
}
