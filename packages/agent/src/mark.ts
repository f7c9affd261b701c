/**
 * The host's mark: a random word that changes with each renewal, agreed with the controllers. A copy of this state directory tells the mark that it was
 * copied with, and the second of the two that renews is seen. The next mark is on disk before it is told, so that an answer which is lost is no clone.
 */
import { randomBytes } from "node:crypto";
import type { Mark } from "@muster/protocol/enrolment";
import { RandomId } from "@muster/protocol/names";
import { z } from "zod";
import { readKept, writeKept } from "./store.ts";

const Kept = z.object({ held: RandomId.nullable(), next: RandomId.nullable() });

export class Marks {
  readonly #file: string;
  #kept: z.infer<typeof Kept>;

  private constructor(file: string, kept: z.infer<typeof Kept>) {
    this.#file = file;
    this.#kept = kept;
  }

  /** Errors: FAILED for a file that cannot be read: without its mark the host would be taken for a copy of itself. */
  static async open(file: string): Promise<Marks> {
    return new Marks(file, (await readKept(file, Kept))?.value ?? { held: null, next: null });
  }

  /** What to tell now; the same again until it was taken. */
  async tell(): Promise<Mark> {
    const next = this.#kept.next ?? randomBytes(16).toString("hex");
    if (this.#kept.next === null) await this.#keep({ ...this.#kept, next });
    return { held: this.#kept.held, next };
  }

  /** The controllers have it. */
  async taken({ next }: Mark): Promise<void> {
    await this.#keep({ held: next, next: null });
  }

  async #keep(kept: z.infer<typeof Kept>): Promise<void> {
    await writeKept(this.#file, kept);
    this.#kept = kept;
  }
}
