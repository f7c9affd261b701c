/** Figures in tests: what is measured is printed, and held to its limit by how fast this machine is at the moment. */
import * as assert from "uvu/assert";
import { slownessNow } from "../../scripts/slowness.mjs";

/** The middle of some numbers; of an even count the upper middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  const middle = sorted[Math.floor(sorted.length / 2)];
  assert.ok(middle !== undefined, "a median of nothing");
  return middle ?? Number.NaN;
}

/** Beyond this a figure says nothing of the program. */
const SLOWEST = 5;

/**
 * How much slower this machine is at the moment than the one that the figures are meant for, from 1 to 5: figures are held to their limit times this,
 * since a test that is red because of what else runs beside it tells nothing. Printed with what was measured.
 */
export function slowness(): number {
  const factor = Math.min(SLOWEST, slownessNow());
  if (factor > 1.2)
    measured("this machine now", `${factor.toFixed(1)} times slower than the figures are meant for`);
  return factor;
}

/** Holds a time to its limit, and on a machine that is slower now to as much more. `what` took it. */
export function assertWithin(took_ms: number, limit_ms: number, what = "it"): void {
  if (took_ms <= limit_ms) return;
  const factor = slowness();
  assert.ok(
    took_ms <= limit_ms * factor,
    `${what} took ${Math.round(took_ms)} ms, ${limit_ms} times ${factor.toFixed(1)} are allowed now`,
  );
}

/** Prints one measurement; the runner shows it also when all is green. */
export function measured(what: string, value: string): void {
  // uvu leaves its line of dots open.
  process.stdout.write(`\n#measured ${what}: ${value}\n`);
}
