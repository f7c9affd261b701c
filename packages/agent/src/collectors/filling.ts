/**
 * When a file system will be full, of bytes or of files, by how it filled over the last hours: the slope from the oldest reading to the newest. At least half an hour is
 * looked at, so that a build or a backup that comes and goes does not ring.
 */
const EVERY_MS = 300_000;
const SPAN_MS = 6 * 3_600_000;
const LEAST_MS = 1_800_000;
/** Further off nobody knows. */
const FARTHEST_S = 365 * 86_400;

type Reading = { readonly at: number; readonly used: number };

/** `readings`: by mount, oldest first, of those that were told within the last hours. */
export function createFilling(
  readings = new Map<string, Reading[]>(),
): (mount: string, size: number, used: number, now_ms: number) => number | null {
  return (mount, size, used, now_ms) => {
    // What is mounted for a while under a name of its own, such as a snapshot, is not kept for ever.
    for (const [other, told] of readings)
      if (other !== mount && now_ms - (told.at(-1)?.at ?? 0) > SPAN_MS) readings.delete(other);
    let held = readings.get(mount) ?? [];
    const last = held.at(-1);
    // A clock that was set back begins anew.
    if (last !== undefined && last.at > now_ms) held = [];
    if (last === undefined || held.length === 0 || now_ms - last.at >= EVERY_MS)
      held = [...held.filter(({ at }) => now_ms - at <= SPAN_MS), { at: now_ms, used }];
    readings.set(mount, held);
    const [first] = held;
    if (first === undefined || now_ms - first.at < LEAST_MS) return null;
    const a_second = (1_000 * (used - first.used)) / (now_ms - first.at);
    if (a_second <= 0) return null;
    const full_in_s = Math.round(Math.max(0, size - used) / a_second);
    return full_in_s > FARTHEST_S ? null : full_in_s;
  };
}
