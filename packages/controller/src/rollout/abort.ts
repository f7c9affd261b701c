/** `ctl.abort` and `ctl.rollout`: what a person does with a rollout from outside; whoever leads it hears of it by the lost compare-and-set. */
import type { Bus } from "@muster/ports/bus";
import type { Rollout } from "@muster/protocol";
import { FleetError, parseJson } from "@muster/protocol/errors";
import { abort } from "./advance.ts";
import { RolloutState } from "./state.ts";

const TRIES = 10;

/** The state as it is stored, or null. */
export async function readRollout(
  bus: Pick<Bus, "kv">,
  id: string,
): Promise<{ state: RolloutState; revision: number } | null> {
  const entry = await bus.kv("rollouts").get(id);
  if (entry === null) return null;
  return { state: parseJson(RolloutState, entry.value, `rollout ${id}`), revision: entry.revision };
}

/** Ends a running rollout; one that has ended stays as it is. Errors: NOT_FOUND, CONFLICT. */
export async function abortRollout(
  bus: Pick<Bus, "kv">,
  id: string,
  by: string,
  now: () => number,
): Promise<{ rollout: Rollout; aborted: boolean }> {
  for (let tries = 1; ; tries++) {
    const kept = await readRollout(bus, id);
    if (kept === null) throw new FleetError("NOT_FOUND", `rollout ${id}`);
    if (kept.state.state !== "running") return { rollout: kept.state, aborted: false };
    const rollout = abort(kept.state, by, now());
    try {
      await bus.kv("rollouts").update(id, Buffer.from(JSON.stringify(rollout)), kept.revision);
      return { rollout, aborted: true };
    } catch (error) {
      if (!(error instanceof FleetError) || error.code !== "CONFLICT" || tries >= TRIES) throw error;
    }
  }
}
