/** Reads FRR's `show memory`: what the daemon's allocator has taken in all. */

const UNITS: Readonly<Record<string, number>> = { bytes: 1, KiB: 1_024, MiB: 1_024 ** 2, GiB: 1_024 ** 3 };

/** The heap, and what lies beside it in mappings of its own, which FRR calls block headers; null where the C library tells nothing, or more than it can count. */
export function frrMemory(text: string): number | null {
  const [heap, mapped] = [bytesAt(text, "Total heap allocated"), bytesAt(text, "Holding block headers")];
  return heap === null ? null : heap + (mapped ?? 0);
}

function bytesAt(text: string, name: string): number | null {
  const match = new RegExp(`^\\s*${name}:\\s+(\\d+) (\\w+)`, "m").exec(text);
  const unit = UNITS[match?.[2] ?? ""];
  return match === null || unit === undefined ? null : Number(match[1]) * unit;
}
