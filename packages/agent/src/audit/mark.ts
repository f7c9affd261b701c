/**
 * Up to when commands that were taken here were signed, kept over a restart: the next agent takes nothing older without a challenge. One line of
 * fixed length that is overwritten in place and synced, so that it can be kept on a disk that is full. It is not held open.
 */
import { constants } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import type { Mark } from "@muster/ports/nonces";
import { sha256 } from "@muster/protocol/canonical";
import { CHALLENGED_WINDOW_MS } from "@muster/protocol/envelope";
import { FleetError } from "@muster/protocol/errors";
import { OpenFile } from "../ports/open-file.ts";

const { O_CREAT, O_NOFOLLOW, O_RDWR } = constants;
const DIGITS = 16;

const lineOf = (signed_until_ms: number) => {
  const digits = String(Math.ceil(signed_until_ms)).padStart(DIGITS, "0");
  return `${digits} ${sha256(digits).slice(0, 16)}\n`;
};

/** Reads it. One that cannot be read counts as far in the future as any command that could have been taken. */
export async function openMark(path: string, now_ms: number): Promise<Mark> {
  const withFile = async <T>(work: (file: OpenFile) => Promise<T>): Promise<T> => {
    const file = await OpenFile.open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
    try {
      return await work(file);
    } finally {
      file.close();
    }
  };
  const told = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new FleetError("UNAUDITED", `${path}: ${why}`, { cause });
    }
  };
  const text = await told(async () => {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const bytes = Buffer.alloc(128);
    const count = await withFile((file) => file.read(bytes));
    return bytes.subarray(0, count).toString("latin1");
  }).catch((error: unknown) => {
    if (error instanceof FleetError) return "unreadable";
    throw error;
  });
  const kept = Number(text.slice(0, DIGITS));
  const good = Number.isSafeInteger(kept) && lineOf(kept) === text;
  return {
    signed_until_ms: text === "" ? 0 : good ? kept : now_ms + CHALLENGED_WINDOW_MS,
    raise: (signed_until_ms) =>
      told(() =>
        withFile(async (file) => {
          await file.write(Buffer.from(lineOf(signed_until_ms)));
          await file.syncContent();
        }),
      ),
  };
}
