/** Reads FRR's `show memory`: what the daemon's allocator has taken in all. */

const UNITS: Readonly<Record<string, number>> = {
  bytes: 1,
  KiB: 1_024,
  MiB: 1_024 ** 2,
  GiB: 1_024 ** 3,
  TiB: 1_024 ** 4,
};

/** Null where the C library tells FRR nothing, or more than it can count. */
export function frrMemory(text: string): number | null {
  const match = /^\s*Total heap allocated:\s+(\d+) (\w+)$/m.exec(text);
  const unit = UNITS[match?.[2] ?? ""];
  return match === null || unit === undefined ? null : Number(match[1]) * unit;
}
