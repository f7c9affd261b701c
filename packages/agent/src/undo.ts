/**
 * Taking unconfirmed changes back: one function for the agent, the timer, the boot unit and the person on the host. Needs no network and
 * no agent.
 */
import { FleetError } from "@muster/protocol/errors";
import { splitRef } from "@muster/protocol/resources/index";
import type { Ports } from "./ports/index.ts";
import { guardOf } from "./resources/guards.ts";
import type { Records, Undone } from "./unconfirmed.ts";
import { pause } from "./wait.ts";

const OTHERS_LIMIT_MS = 30_000;
const OTHERS_WORD_LIMIT_MS = 60_000;
const DISARM_LIMIT_MS = 60_000;

/**
 * Claims a record and takes the change back. Null when somebody else has claimed it (or it was confirmed).
 * What goes wrong in the kind's own undo stands in `error` of the result: there is nobody left to throw to.
 */
export async function undoRecord(
  records: Records,
  id: string,
  why: string,
  ports: Ports,
  signal: AbortSignal,
): Promise<Undone | null> {
  if (!(await records.claim(id, "undoing"))) return null;
  return finishUndo(records, id, why, ports, signal);
}

/** Takes back what its owner had claimed for confirming and cannot confirm. */
export async function undoConfirming(
  records: Records,
  id: string,
  why: string,
  ports: Ports,
  signal: AbortSignal,
): Promise<Undone> {
  await records.giveUpConfirming(id);
  return finishUndo(records, id, why, ports, signal);
}

/** Takes back what was claimed already, also by a process that died over it: the kinds' undo may be repeated. */
export async function finishUndo(
  records: Records,
  id: string,
  why: string,
  ports: Ports,
  signal: AbortSignal,
): Promise<Undone> {
  const record = await records.read(id, "undoing");
  let error: string | null = null;
  try {
    await guardOf(splitRef(record.ref)).undo(record.snapshot, ports, signal);
  } catch (failure) {
    if (!(failure instanceof FleetError)) throw failure;
    error = failure.message;
  }
  const undone: Undone = { record, at: ports.now(), why: why.slice(0, 4_000), error };
  await records.finishUndo(undone);
  return undone;
}

/**
 * At boot, before network and daemons, and at the agent's start: everything that is not confirmed is taken back. Gives all that was undone
 * and not told yet. A confirmation that was under way is left to the agent.
 */
export async function undoAll(
  records: Records,
  why: string,
  ports: Ports,
  signal: AbortSignal,
): Promise<Undone[]> {
  const undone: Undone[] = [];
  for (const { id, phase } of await records.list()) {
    if (phase === "record") await undoRecord(records, id, why, ports, signal);
    else if (phase === "undoing" && !(await othersFinish(records, id, signal)))
      await finishUndo(records, id, why, ports, signal);
    if ((await records.phase(id)) === "undone") undone.push(await records.readUndone(id));
  }
  return undone;
}

/**
 * Takes a change back (`take`), or hears it from who claimed it first (the timer, a person), then disarms and removes the record. Null when
 * they are still at it after `limit_ms`: the record stays then, for recovery. Errors: CANCELLED, likewise, when the agent is stopped meanwhile.
 */
export async function takeBack(
  door: {
    readonly records: Records;
    disarm(id: string, signal: AbortSignal): Promise<void>;
  },
  take: () => Promise<Undone | null>,
  id: string,
  signal: AbortSignal,
  limit_ms = OTHERS_WORD_LIMIT_MS,
): Promise<Undone | null> {
  const { records } = door;
  const undone = (await take()) ?? (await othersWord(records, id, limit_ms, signal));
  if (undone === null) {
    if (signal.aborted)
      throw new FleetError("CANCELLED", "the agent is stopped while another hand takes the change back");
    return null;
  }
  // The signal of a stopping agent must not keep the timer armed.
  await door.disarm(id, AbortSignal.timeout(DISARM_LIMIT_MS));
  await records.remove(id);
  return undone;
}

async function othersWord(
  records: Records,
  id: string,
  limit_ms: number,
  signal: AbortSignal,
): Promise<Undone | null> {
  for (let waited_ms = 0; ; waited_ms += 250) {
    if ((await records.phase(id)) === "undone") return records.readUndone(id);
    if (signal.aborted || waited_ms >= limit_ms) return null;
    await pause(250, signal);
  }
}

/** Whether the process that claimed it finishes by itself; one that died never does. */
async function othersFinish(records: Records, id: string, signal: AbortSignal): Promise<boolean> {
  for (let waited_ms = 0; waited_ms < OTHERS_LIMIT_MS && !signal.aborted; waited_ms += 500) {
    if ((await records.phase(id)) !== "undoing") return true;
    await pause(500, signal);
  }
  return false;
}
