/**
 * What an agent does first after it died or was restarted: every change that is not confirmed is taken back, what others took back meanwhile is
 * told, and a confirmation that was under way is finished. Then the loop begins as always.
 */
import { FleetError } from "@muster/protocol/errors";
import { splitRef } from "@muster/protocol/resources/index";
import type { Armer } from "./arm.ts";
import type { Events } from "./events.ts";
import { undoneWords } from "./guarded.ts";
import type { Ledger } from "./ledger.ts";
import type { Ports } from "./ports/index.ts";
import { guardOf } from "./resources/guards.ts";
import type { Records, Undone } from "./unconfirmed.ts";
import { undoAll, undoConfirming } from "./undo.ts";

export const CRASHED = "the agent was gone before the change was confirmed";

export async function recover(
  records: Records,
  armer: Armer,
  ledger: Ledger,
  events: Events,
  ports: Ports,
  signal: AbortSignal,
): Promise<void> {
  for (const { id, phase } of await records.list()) {
    if (phase !== "confirming") continue;
    const record = await records.read(id, "confirming");
    try {
      await guardOf(splitRef(record.ref)).confirm(record.snapshot, ports, signal);
      await records.remove(id);
    } catch (error) {
      if (!(error instanceof FleetError) || signal.aborted) throw error;
      // The boot file is still the old one: left alone it would say one thing and the daemon do another. It is told below.
      await undoConfirming(records, id, `it cannot be confirmed: ${error.detail}`, ports, signal);
    }
  }
  for (const undone of await undoAll(records, CRASHED, ports, signal)) {
    await armer.disarm(undone.record.id, signal);
    await note(undone, ledger, events);
    await records.remove(undone.record.id);
  }
}

/**
 * A change that was taken back because the agent died is tried once more; a second death, or anything else, is the change's own fault. The
 * same record comes again when the agent died before it was removed: that is one death, told twice rather than not at all.
 */
async function note(undone: Undone, ledger: Ledger, events: Events): Promise<void> {
  const { record, error, at } = undone;
  const why = undoneWords(guardOf(splitRef(record.ref)).thing, undone.why, error, null);
  const { spec_hash } = record;
  if (spec_hash !== null) {
    await ledger.update((state) => {
      const before = state.undone[record.ref];
      if (before?.record === record.id) return {};
      const again = before?.spec_hash === spec_hash && before.crashed;
      const crashed = undone.why === CRASHED && !again;
      const entry = { spec_hash, why: why.slice(0, 2_000), at, crashed, record: record.id };
      return { undone: { ...state.undone, [record.ref]: entry } };
    });
  }
  events.tell({
    at,
    kind: "guard",
    severity: "error",
    what: `${record.ref} was undone: ${why}`,
    ref: record.ref,
  });
}
