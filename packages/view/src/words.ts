/** Times, numbers and lists as people read them. Pure. */
const STEPS = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["min", 60_000],
  ["s", 1_000],
] as const;

/** `0.4 s`, `12 s`, `3 h 12 min`, `41 d`: two units at most, and one above ten days. */
export function durationText(duration_ms: number): string {
  const span_ms = Math.max(0, duration_ms);
  if (span_ms < 1_000) return `${Math.round(span_ms)} ms`;
  if (span_ms < 10_000) return `${(Math.floor(span_ms / 100) / 10).toFixed(1).replace(/\.0$/, "")} s`;
  const at = STEPS.findIndex(([, unit_ms]) => span_ms >= unit_ms);
  const [name, unit_ms] = STEPS[at] ?? STEPS[3];
  const count = Math.floor(span_ms / unit_ms);
  const next = STEPS[at + 1];
  const rest = next === undefined ? 0 : Math.floor((span_ms % unit_ms) / next[1]);
  if (next === undefined || rest === 0 || (name === "d" && count >= 10)) return `${count} ${name}`;
  return `${count} ${name} ${rest} ${next[0]}`;
}

/** As `durationText`, and up to two minutes in seconds: guards are set and read in seconds. */
export function windowText(duration_ms: number): string {
  return duration_ms >= 10_000 && duration_ms < 120_000
    ? `${Math.floor(duration_ms / 1_000)} s`
    : durationText(duration_ms);
}

export { timeText } from "@muster/protocol/time";

/** `182,301`. */
export function numberText(value: number): string {
  return value.toString().replace(/\B(?=(\d{3})+(?!\d))(?<!\.\d*)/g, ",");
}

const SIZES = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/** `3.8 GiB`; binary units, one digit behind the point below ten. */
export function sizeText(size_bytes: number): string {
  let size = Math.max(0, size_bytes);
  let at = 0;
  while (size >= 1_024 && at < SIZES.length - 1) {
    size /= 1_024;
    at += 1;
  }
  return `${size < 10 && at > 0 ? size.toFixed(1) : Math.round(size)} ${SIZES[at]}`;
}

/** `1 host`, `3 hosts`. */
export function countText(count: number, one: string, many = `${one}s`): string {
  return `${numberText(count)} ${count === 1 ? one : many}`;
}

/** `15m`, `2h`, `30d`, `90s` in milliseconds; undefined for anything else. */
export function readDuration(text: string): number | undefined {
  const match = /^(\d{1,6})\s*(s|m|min|h|d)$/.exec(text.trim());
  if (match === null) return undefined;
  const unit = match[2] === "m" ? "min" : match[2];
  return Number(match[1]) * (STEPS.find(([name]) => name === unit)?.[1] ?? 0);
}

/** `core1, ixp1 and 3 more`. */
export function listText(names: readonly string[], limit = 8): string {
  const shown = names.slice(0, limit).join(", ");
  return names.length > limit ? `${shown} and ${numberText(names.length - limit)} more` : shown;
}
