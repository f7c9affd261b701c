/**
 * The notes on what stream BLOB holds: bucket `blobs`, key `<owner>.<sha256>`. The stream itself cannot be asked for its subjects without reading all of
 * it. Written before the first chunk (`part`), after the last one was proved (`whole`), and before the first is taken away (`going`).
 */
import type { KeyValueEntry } from "@muster/ports/bus";
import { parseJson } from "@muster/protocol/errors";
import { z } from "zod";

export const Note = z.object({ state: z.enum(["part", "whole", "going"]), size_bytes: z.int().min(0) });
export type Note = z.infer<typeof Note>;

export const keyOf = (owner: string, sha256: string): string => `${owner}.${sha256}`;

export const readNote = (entry: KeyValueEntry): Note =>
  parseJson(Note, entry.value, `note of blob ${entry.key}`);

export const writeNote = (note: Note): Uint8Array => Buffer.from(JSON.stringify(note));
