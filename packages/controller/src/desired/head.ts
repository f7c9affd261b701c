/** The newest generation that was allotted: key `generation` of bucket `fleet`. Whoever moves it by compare-and-set has ordered a rollout. */
import type { Bus } from "@muster/ports/bus";
import { Instant, RandomId, type StoredEnvelope, storeEnvelope, subjects } from "@muster/protocol";
import { FleetError, parseJson } from "@muster/protocol/errors";
import { z } from "zod";

const KEY = "generation";

const Head = z.object({ generation: z.int().min(1), rollout: RandomId, by: z.string(), at: Instant });
export type Head = z.infer<typeof Head>;

/** Null before the first rollout; `revision` 0 then. */
export async function readHead(bus: Pick<Bus, "kv">): Promise<{ head: Head | null; revision: number }> {
  const entry = await bus.kv("fleet").get(KEY);
  if (entry === null) return { head: null, revision: 0 };
  return { head: parseJson(Head, entry.value, "the fleet's generation"), revision: entry.revision };
}

/** Moves the head on. Errors: CONFLICT, naming who was faster. */
export async function moveHead(bus: Pick<Bus, "kv">, next: Head, revision: number): Promise<void> {
  const bytes = Buffer.from(JSON.stringify(next));
  try {
    if (revision === 0) await bus.kv("fleet").create(KEY, bytes);
    else await bus.kv("fleet").update(KEY, bytes, revision);
  } catch (error) {
    if (!(error instanceof FleetError) || error.code !== "CONFLICT") throw error;
    const { head } = await readHead(bus);
    throw taken(next.generation, head);
  }
}

/** That a generation cannot be had, and why, in the person's words. */
export function taken(wanted: number, head: Head | null): FleetError {
  const newest =
    head === null
      ? "none is allotted yet"
      : `${head.by} took ${head.generation} at ${new Date(head.at).toISOString()}`;
  return new FleetError("CONFLICT", `generation ${wanted}: ${newest}`);
}

/** `ctl.head`: the newest release as its operator signed it. */
export async function headReply(
  bus: Pick<Bus, "kv" | "directGet">,
): Promise<{ generation: number; rollout: string | null; release: StoredEnvelope | null }> {
  const { head } = await readHead(bus);
  if (head === null) return { generation: 0, rollout: null, release: null };
  const stored = await bus.directGet("RELEASE", subjects.release(head.rollout));
  return {
    generation: head.generation,
    rollout: head.rollout,
    release: stored === null ? null : storeEnvelope(stored),
  };
}
