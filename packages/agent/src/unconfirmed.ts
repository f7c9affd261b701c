/**
 * Records of changes that are not confirmed yet: one directory each below the state directory. The record is on disk and its undo armed
 * before the first step; whoever ends the change (the agent, the timer, the boot unit, a person) claims it by renaming one file, which only
 * one of them can:
 *
 *     record.json ──► confirming.json ──► (directory removed)
 *         │               │ (it cannot be confirmed)
 *         └───────────────┴─► undoing.json ─► undone.json ──► (the agent tells of it, directory removed)
 */
import { mkdir, readdir, rename, rm, rmdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { FleetError } from "@muster/protocol/errors";
import { Json } from "@muster/protocol/json";
import { Instant, RandomId, ResourceRef, Sha256 } from "@muster/protocol/names";
import { z } from "zod";
import { hasCode, isMissing, readKept, syncDirectory, writeSynced } from "./store.ts";

export const UndoRecord = z.object({
  v: z.literal(1),
  id: RandomId,
  ref: ResourceRef,
  generation: z.int(),
  spec_hash: Sha256.nullable().describe("Null = it was a removal."),
  snapshot: Json,
  armed_at: Instant,
  undo_at: Instant,
});
export type UndoRecord = z.infer<typeof UndoRecord>;

const Undone = z.object({
  record: UndoRecord,
  at: Instant,
  why: z.string().max(4_000),
  error: z.string().nullable(),
});
export type Undone = z.infer<typeof Undone>;

export type Phase = "record" | "confirming" | "undoing" | "undone";

export class Records {
  readonly #directory: string;

  /** @param directory on disk, prefix included */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Makes the directory in which a snapshot may keep files. */
  async begin(id: string): Promise<string> {
    await mkdir(this.#at(id), { recursive: true, mode: 0o700 });
    return this.#at(id);
  }

  /** Persists the record; only when this has resolved may the first step be done. */
  async put(record: UndoRecord): Promise<void> {
    await writeSynced(this.#file(record.id, "record"), JSON.stringify(record));
    await syncDirectory(this.#directory);
  }

  /** True for exactly one caller. */
  async claim(id: string, phase: "confirming" | "undoing"): Promise<boolean> {
    try {
      await rename(this.#file(id, "record"), this.#file(id, phase));
    } catch (error) {
      if (isMissing(error)) return false;
      throw error;
    }
    await syncDirectory(this.#at(id));
    return true;
  }

  /** A confirmation that cannot be carried out becomes an undo. Only for who claimed it. */
  async giveUpConfirming(id: string): Promise<void> {
    await rename(this.#file(id, "confirming"), this.#file(id, "undoing"));
    await syncDirectory(this.#at(id));
  }

  /** In which phase it is; null when there is no such record (any more). */
  async phase(id: string): Promise<Phase | null> {
    return (await this.#look(id)) ?? (await this.#look(id));
  }

  /** Looks in the direction in which others move it, so that it cannot slip through between two looks; the furthest counts. */
  async #look(id: string): Promise<Phase | null> {
    let found: Phase | null = null;
    for (const phase of ["record", "confirming", "undoing", "undone"] as const) {
      try {
        await stat(this.#file(id, phase));
        found = phase;
      } catch (error) {
        if (!isMissing(error)) throw error;
      }
    }
    return found;
  }

  /** Reads the record in a phase before `undone`. Errors: NOT_FOUND, FAILED. */
  async read(id: string, phase: Exclude<Phase, "undone">): Promise<UndoRecord> {
    const kept = await readKept(this.#file(id, phase), UndoRecord);
    if (kept === null) throw new FleetError("NOT_FOUND", `unconfirmed change ${id}`);
    return kept.value;
  }

  async readUndone(id: string): Promise<Undone> {
    const kept = await readKept(this.#file(id, "undone"), Undone);
    if (kept === null) throw new FleetError("NOT_FOUND", `undone change ${id}`);
    return kept.value;
  }

  /** Notes that the undo was carried out (`error`: as far as it went). */
  async finishUndo(undone: Undone): Promise<void> {
    await writeSynced(this.#file(undone.record.id, "undone"), JSON.stringify(undone));
    await rm(this.#file(undone.record.id, "undoing"), { force: true });
  }

  async remove(id: string): Promise<void> {
    await rm(this.#at(id), { recursive: true, force: true });
  }

  /**
   * Every record with its phase; empty directories (a crash before `put`) are removed, unless one only looks. One with files and no phase is left alone: its maker
   * may be at it.
   */
  async list({ only_look = false } = {}): Promise<{ id: string; phase: Phase }[]> {
    let names: string[];
    try {
      names = await readdir(this.#directory);
    } catch (error) {
      if (isMissing(error)) return [];
      throw error;
    }
    const found: { id: string; phase: Phase }[] = [];
    for (const id of names.filter((name) => RandomId.safeParse(name).success)) {
      const phase = await this.phase(id);
      if (phase === null) {
        if (!only_look) await this.#removeEmpty(id);
      } else found.push({ id, phase });
    }
    return found;
  }

  async #removeEmpty(id: string): Promise<void> {
    try {
      await rmdir(this.#at(id));
    } catch (error) {
      if (!isMissing(error) && !hasCode(error, "ENOTEMPTY")) throw error;
    }
  }

  #at(id: string): string {
    return join(this.#directory, id);
  }

  #file(id: string, phase: Phase): string {
    return join(this.#at(id), `${phase}.json`);
  }
}
