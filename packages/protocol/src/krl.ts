/**
 * An OpenSSH key revocation list over plain keys, which takes a key's certificates with it. Source: PROTOCOL.krl and krl.c of OpenSSH 9.2;
 * `ssh-keygen -Q` reads it. Not signed: it travels inside of the signed trust bundle.
 */
import { FleetError } from "./errors.ts";

const MAGIC = Buffer.from("SSHKRL\n\0");
const FORMAT = 1;
const EXPLICIT_KEYS = 2;

const u32 = (value: number) => {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(value);
  return out;
};
const u64 = (value: number) => {
  const out = Buffer.alloc(8);
  out.writeBigUInt64BE(BigInt(value));
  return out;
};
const text = (data: Uint8Array) => Buffer.concat([u32(data.length), data]);

/** Lists keys (base64 of the OpenSSH public key, the second word of its line). `version` only rises. */
export function writeKrl(keys: readonly string[], version: number, at_ms: number): Buffer {
  const blobs = [...new Set(keys)].sort().map((key) => text(Buffer.from(key, "base64")));
  const section = Buffer.concat([Buffer.from([EXPLICIT_KEYS]), text(Buffer.concat(blobs))]);
  const head = [
    MAGIC,
    u32(FORMAT),
    u64(version),
    u64(Math.floor(at_ms / 1_000)),
    u64(0),
    text(Buffer.alloc(0)),
  ];
  return Buffer.concat([...head, text(Buffer.from("muster")), ...(blobs.length === 0 ? [] : [section])]);
}

/** The keys of a list that `writeKrl` wrote. Errors: INVALID for any other. */
export function readKrl(krl: Uint8Array): string[] {
  const bytes = Buffer.from(krl);
  try {
    if (!bytes.subarray(0, 8).equals(MAGIC) || bytes.readUInt32BE(8) !== FORMAT) throw new RangeError("head");
    let at = 36;
    const take = () => {
      const end = at + 4 + bytes.readUInt32BE(at);
      if (end > bytes.length) throw new RangeError("cut off");
      const part = bytes.subarray(at + 4, end);
      at = end;
      return part;
    };
    take();
    take();
    const keys: string[] = [];
    while (at < bytes.length) {
      if (bytes[at] !== EXPLICIT_KEYS) throw new RangeError("another section");
      at += 1;
      const end = at + 4 + bytes.readUInt32BE(at);
      at += 4;
      while (at < end) keys.push(take().toString("base64"));
    }
    return keys;
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new FleetError("INVALID", "ssh key revocation list", { cause });
  }
}
