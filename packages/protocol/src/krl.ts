/**
 * An OpenSSH key revocation list over plain keys, which takes a key's certificates with it, and over the key ids of certificates, whichever CA signed them:
 * a person's name. Source: PROTOCOL.krl and krl.c of OpenSSH 9.2; `ssh-keygen -Q` reads it. Not signed: it travels inside of the signed trust bundle.
 */
import { FleetError } from "./errors.ts";

const MAGIC = Buffer.from("SSHKRL\n\0");
const FORMAT = 1;
const SECTION = { certificates: 1, keys: 2 } as const;
const KEY_IDS = 0x23;

/** `keys`: base64 of OpenSSH public keys, the second word of their lines. `people`: key ids of certificates. */
export type Krl = { readonly keys: readonly string[]; readonly people: readonly string[] };

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
const text = (data: Uint8Array | string) => Buffer.concat([u32(Buffer.byteLength(data)), Buffer.from(data)]);
const section = (type: number, ...parts: Uint8Array[]) => [Buffer.from([type]), text(Buffer.concat(parts))];
const sorted = (words: readonly string[]) => [...new Set(words)].sort();

/** `version` only rises. */
export function writeKrl({ keys, people }: Krl, version: number, at_ms: number): Buffer {
  const head = [
    ...[MAGIC, u32(FORMAT), u64(version), u64(Math.floor(at_ms / 1_000)), u64(0)],
    ...[text(""), text("muster")],
  ];
  const blobs = sorted(keys).map((key) => text(Buffer.from(key, "base64")));
  const ids = sorted(people).map((name) => text(name));
  return Buffer.concat([
    ...head,
    // No CA is any CA.
    ...(ids.length === 0
      ? []
      : section(SECTION.certificates, text(""), text(""), ...section(KEY_IDS, ...ids))),
    ...(blobs.length === 0 ? [] : section(SECTION.keys, ...blobs)),
  ]);
}

/** What a list that `writeKrl` wrote says; null says nothing. Errors: INVALID for any other. */
export function readKrl(krl: Uint8Array | null): Krl {
  if (krl === null) return { keys: [], people: [] };
  try {
    const all = new Reader(Buffer.from(krl));
    if (!all.take(8).equals(MAGIC) || all.take(4).readUInt32BE() !== FORMAT) throw new RangeError("head");
    all.take(24);
    all.text();
    all.text();
    const keys: string[] = [];
    const people: string[] = [];
    while (all.more) {
      const type = all.take(1)[0];
      const part = new Reader(all.text());
      if (type === SECTION.keys) while (part.more) keys.push(part.text().toString("base64"));
      else if (type === SECTION.certificates) {
        if (part.text().length > 0 || part.text().length > 0 || part.take(1)[0] !== KEY_IDS)
          throw new RangeError("another section of certificates");
        const ids = new Reader(part.text());
        while (ids.more) people.push(ids.text().toString());
        if (part.more) throw new RangeError("another section of certificates");
      } else throw new RangeError("another section");
    }
    return { keys, people };
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new FleetError("INVALID", "ssh key revocation list", { cause });
  }
}

class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get more(): boolean {
    return this.#at < this.#bytes.length;
  }

  take(length: number): Buffer {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new RangeError("cut off");
    const part = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return part;
  }

  text(): Buffer {
    return this.take(this.take(4).readUInt32BE());
  }
}
