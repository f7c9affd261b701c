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

/** Whether the process that claimed it finishes by itself; one that died never does. */
async function othersFinish(records: Records, id: string, signal: AbortSignal): Promise<boolean> {
  for (let waited_ms = 0; waited_ms < OTHERS_LIMIT_MS && !signal.aborted; waited_ms += 500) {
    if ((await records.phase(id)) !== "undoing") return true;
    await pause(500, signal);
  }
  return false;
}
