/** How fast this machine is at the moment. A limit that holds on a free machine says nothing of a program on one that is slow, or busy with something else. */
import { spawnSync } from "node:child_process";
import { execPath } from "node:process";

/** What starting an empty Node takes on the machine that the limits are meant for: two free cores. */
const NODE_START_MS = 45;
const STARTS = 5;
/** Beyond this a limit that is stretched further would hold nothing: a machine five times slower, with three files side by side. */
const SLOWEST = 10;
/** A machine that stood still for some seconds is fast again when it is asked: what only keeps a test from waiting for ever is never stretched by less. */
export const LEAST_PATIENCE = 3;

/** How many times as long as on a free machine a test waits, from 3 to 10: for limits that no program is held to. To be asked when three times are over. */
export const patienceNow = () => Math.max(LEAST_PATIENCE, slownessNow());

/** How much slower than that this machine is now, from 1 to 10. Takes a quarter of a second times that. */
export function slownessNow() {
  const starts = Array.from({ length: STARTS }, () => {
    const begun_ms = performance.now();
    spawnSync(execPath, ["-e", "0"]);
    return performance.now() - begun_ms;
  });
  const middle = starts.sort((one, other) => one - other)[Math.floor(STARTS / 2)];
  return Math.min(SLOWEST, Math.max(1, middle / NODE_START_MS));
}
