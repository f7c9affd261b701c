/**
 * What is asked of a path and done to it without opening it, with as little of the processor's time as Node allows: its promises take 35 µs for what takes 25 by the
 * older form, and 4 when the kernel answers at once from what it has in memory.
 */
import * as fs from "node:fs";
import { isMissing } from "./files-errors.ts";

/** What is there, itself when it is a link; null when there is nothing. By a thread, since a disk or another machine may have to be asked. Errors: those of the system. */
export function statsOf(real: string): Promise<fs.BigIntStats | null> {
  return new Promise((resolve, reject) =>
    fs.lstat(real, { bigint: true }, (error, stats) => {
      if (error === null) resolve(stats);
      else if (isMissing(error)) resolve(null);
      else reject(error);
    }),
  );
}

/** As `statsOf`, of what was looked at or written a moment ago: the kernel has it in memory still, and nothing is waited for. */
export function statsAgain(real: string): fs.BigIntStats | null {
  try {
    return fs.lstatSync(real, { bigint: true, throwIfNoEntry: false }) ?? null;
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}
