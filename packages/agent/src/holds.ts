/**
 * Holds: "leave this resource, or this host, alone", with reason and end. Those made on the host stand in a file of their own, which the
 * local command writes even when the agent is dead; those made by switch stand in the ledger.
 */
import type { Convergence, ThrownSwitch } from "@muster/protocol";
import { Instant, ResourceRef } from "@muster/protocol/names";
import { timeText } from "@muster/protocol/time";
import { z } from "zod";
import { readKept, writeKept } from "./store.ts";

export const Hold = z.object({
  ref: ResourceRef.nullable(),
  why: z.string().max(500),
  by: z.string().max(64),
  at: Instant,
  until: Instant.nullable(),
});
export type Hold = z.infer<typeof Hold>;

const LIMIT = 256;
export const HoldsFile = z.object({ holds: z.array(Hold).max(LIMIT) });

/**
 * Holds made on the host; none when there is no file: who takes it away wants none, and one that was ended must not come back. `damaged`: the newest version
 * could not be read, and why; those of the one before hold. Errors: FAILED, also when neither can be read.
 */
export async function readLocalHolds(
  file: string,
): Promise<{ readonly holds: readonly Hold[]; readonly damaged: string | null }> {
  const kept = await readKept(file, HoldsFile, "nothing");
  return { holds: kept?.value.holds ?? [], damaged: kept?.damaged ?? null };
}

/** Adds or replaces the hold of the same thing. */
export async function addLocalHold(file: string, hold: Hold, now_ms: number): Promise<void> {
  const { holds } = await readLocalHolds(file);
  const others = living(holds, now_ms).filter((each) => each.ref !== hold.ref);
  await writeKept(file, HoldsFile.parse({ holds: [...others, hold] }));
}

/** Ends the hold of that resource (null = of the whole host); false when there was none. */
export async function endLocalHold(file: string, ref: string | null, now_ms: number): Promise<boolean> {
  const holds = living((await readLocalHolds(file)).holds, now_ms);
  const others = holds.filter((each) => each.ref !== ref);
  await writeKept(file, { holds: others });
  return others.length < holds.length;
}

export const living = <H extends { until: number | null }>(holds: readonly H[], now_ms: number): H[] =>
  holds.filter((hold) => hold.until === null || hold.until > now_ms);

/** All holds in force, of both origins. */
export function holdsInForce(
  local: readonly Hold[],
  switches: readonly ThrownSwitch[],
  now_ms: number,
): Hold[] {
  const thrown = switches
    .filter((each) => each.name === "hold" && each.on)
    .map((each) => ({
      ref: each.resource ?? null,
      why: each.why,
      by: each.by,
      at: each.at,
      until: each.until,
    }));
  return living([...local, ...thrown], now_ms);
}

/** How long until the first of them ends, in milliseconds; infinite when none ever does. */
export const untilHoldEnds = (holds: readonly Hold[], now_ms: number): number =>
  Math.min(
    Number.POSITIVE_INFINITY,
    ...holds.map(({ until }) =>
      until === null ? Number.POSITIVE_INFINITY : Math.max(0, until - now_ms) + 1,
    ),
  );

/** The sentence of the hold that covers a resource; null when none does. */
export function heldWhy(holds: readonly Hold[], ref: string): string | null {
  const hold = holds.find((each) => each.ref === null || each.ref === ref);
  if (hold === undefined) return null;
  const until = hold.until === null ? "" : ` until ${timeText(hold.until)}`;
  return `held by ${hold.by}${until}: ${hold.why}`;
}

export const shownHolds = (holds: readonly Hold[]): Convergence["held"] =>
  holds.map(({ ref, why, by, until }) => ({ ref, why, by, until }));
