/**
 * A backup's file: a line of JSON, and behind it the content in frames of AES-256-GCM under a key that is sealed to the recovery kit. Whoever makes one
 * cannot read it again. A frame is its length (4 bytes), its tag (16) and its bytes; the nonce counts the frames and marks the last, so that none can
 * be left out, moved or cut off (the STREAM construction, eprint.iacr.org/2015/189).
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { FleetError, parseJson } from "@muster/protocol/errors";
import { FleetName, Instant } from "@muster/protocol/names";
import { type CurvePair, createCurvePair, openSealed, sealTo } from "@muster/protocol/sealed";
import { z } from "zod";

const FRAME_BYTES = 1 << 20;
const HEAD_LIMIT_BYTES = 4_096;
const TAG_BYTES = 16;

export const ArchiveHead = z.strictObject({
  kind: z.literal("muster backup"),
  v: z.literal(1),
  fleet: FleetName,
  at: Instant,
  from: z.string().describe("Curve key made for this file."),
  box: z.base64().describe("The content's key, sealed to the kit's curve key."),
});
export type ArchiveHead = z.infer<typeof ArchiveHead>;

/** Seals the file `from` into the file `to`, for the public curve key `reader`. Gives the size of what was written. */
export async function sealArchive(
  from: string,
  to: string,
  what: { readonly fleet: string; readonly at: number; readonly reader: string },
): Promise<number> {
  const key = randomBytes(32);
  const sender = createCurvePair();
  const head: ArchiveHead = {
    kind: "muster backup",
    v: 1,
    fleet: what.fleet,
    at: what.at,
    from: sender.public,
    box: Buffer.from(sealTo(what.reader, key, sender)).toString("base64"),
  };
  const line = Buffer.from(`${JSON.stringify(head)}\n`);
  const input = await open(from);
  const output = await open(to, "wx", 0o600);
  try {
    await output.writeFile(line);
    const { size } = await input.stat();
    let written = line.length;
    let left = size;
    for (let count = 0, last = false; !last; count++) {
      const clear = await readExactly(input, Math.min(FRAME_BYTES, left));
      left -= clear.length;
      last = left === 0;
      const cipher = createCipheriv("aes-256-gcm", key, nonceOf(count, last)).setAAD(digest(line));
      const body = Buffer.concat([cipher.update(clear), cipher.final()]);
      const length = Buffer.alloc(4);
      length.writeUInt32BE(body.length);
      const frame = Buffer.concat([length, cipher.getAuthTag(), body]);
      await output.writeFile(frame);
      written += frame.length;
    }
    await output.sync();
    return written;
  } finally {
    await Promise.all([input.close(), output.close()]);
  }
}

/** What a file says of itself, unproved. Errors: INVALID for no backup. */
export async function readHead(path: string): Promise<ArchiveHead> {
  const input = await open(path);
  try {
    return (await headOf(input, path)).head;
  } finally {
    await input.close();
  }
}

/** Opens the file `from` into the file `to`. Errors: BAD_SIGNATURE for another kit's, or one that was altered or cut off; INVALID. */
export async function openArchive(from: string, to: string, reader: CurvePair): Promise<ArchiveHead> {
  const input = await open(from);
  const output = await open(to, "wx", 0o600);
  try {
    const { head, line } = await headOf(input, from);
    const key = openSealed(head.from, Buffer.from(head.box, "base64"), reader);
    let left = (await input.stat()).size - line.length;
    const altered = (): FleetError =>
      new FleetError("BAD_SIGNATURE", `${from} was altered, or is not all there`);
    for (let count = 0, last = false; !last; count++) {
      if (left < 4 + TAG_BYTES) throw altered();
      const start = await readExactly(input, 4 + TAG_BYTES);
      const length = start.readUInt32BE(0);
      left -= start.length + length;
      if (length > FRAME_BYTES || left < 0) throw altered();
      last = left === 0;
      const decipher = createDecipheriv("aes-256-gcm", key, nonceOf(count, last), {
        authTagLength: TAG_BYTES,
      });
      decipher.setAAD(digest(line)).setAuthTag(start.subarray(4));
      const body = decipher.update(await readExactly(input, length));
      try {
        decipher.final();
      } catch {
        throw altered();
      }
      await output.writeFile(body);
    }
    return head;
  } finally {
    await Promise.all([input.close(), output.close()]);
  }
}

async function headOf(input: FileHandle, path: string): Promise<{ head: ArchiveHead; line: Buffer }> {
  const { buffer, bytesRead } = await input.read(Buffer.alloc(HEAD_LIMIT_BYTES), 0, HEAD_LIMIT_BYTES, 0);
  const end = buffer.subarray(0, bytesRead).indexOf("\n");
  if (end < 0) throw new FleetError("INVALID", `${path} is no backup of Muster`);
  const line = Buffer.from(buffer.subarray(0, end + 1));
  const head = parseJson(ArchiveHead, line, path);
  // The handle's own position: what follows is read from there.
  await input.read(Buffer.alloc(line.length), 0, line.length);
  return { head, line };
}

async function readExactly(input: FileHandle, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; ) {
    const { bytesRead } = await input.read(bytes, at, length - at);
    if (bytesRead === 0) throw new FleetError("FAILED", "a file became shorter while it was read");
    at += bytesRead;
  }
  return bytes;
}

function nonceOf(count: number, last: boolean): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeBigUInt64BE(BigInt(count), 0);
  nonce.writeUInt32BE(last ? 1 : 0, 8);
  return nonce;
}

const digest = (line: Buffer): Buffer => createHash("sha256").update(line).digest();
