/** Waits for what comes by itself: the check is made again and again until it holds, and its own complaint is thrown when the time is up. */
import { setTimeout as sleep } from "node:timers/promises";
import { patienceOf } from "./patience.ts";

const LOOK_MS = 20;

export async function eventually(check: () => unknown, limit_ms = 5_000): Promise<void> {
  const patience = patienceOf(limit_ms);
  for (;;) {
    try {
      await check();
      return;
    } catch (error) {
      if (patience.over()) throw error;
    }
    await sleep(LOOK_MS);
  }
}
