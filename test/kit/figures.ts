/** Figures in tests: what is measured is printed, and held to its limit by how fast this machine is at the moment. */
import { spawnSync } from "node:child_process";
import * as assert from "uvu/assert";

/** The middle of some numbers; of an even count the upper middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  const middle = sorted[Math.floor(sorted.length / 2)];
  assert.ok(middle !== undefined, "a median of nothing");
  return middle ?? Number.NaN;
}

/** What starting an empty Node takes on the machine that the figures are meant for: two free cores. */
const NODE_START_MS = 45;
/** Beyond this a figure says nothing of the program, and a limit stretched further would hold nothing. */
const SLOWEST = 3;

/**
 * How much slower than that this machine is at the moment, from 1 to 3: figures are held to their limit times this, since a test that is red because of
 * what else runs beside it tells nothing. Printed with what was measured.
 */
export function slowness(): number {
  const starts = Array.from({ length: 5 }, () => {
    const begun_ms = performance.now();
    spawnSync(process.execPath, ["-e", "0"]);
    return performance.now() - begun_ms;
  });
  const factor = Math.max(1, median(starts) / NODE_START_MS);
  if (factor > 1.2)
    measured("this machine now", `${factor.toFixed(1)} times slower than the figures are meant for`);
  return Math.min(SLOWEST, factor);
}

/** Prints one measurement; the runner shows it also when all is green. */
export function measured(what: string, value: string): void {
  // uvu leaves its line of dots open.
  process.stdout.write(`\n#measured ${what}: ${value}\n`);
}
