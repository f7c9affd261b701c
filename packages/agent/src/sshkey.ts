/**
 * Ed25519 host keys in OpenSSH's own forms, read and written without running ssh-keygen: the private file (`openssh-key-v1`, never
 * encrypted for host keys), the public line, and what a host certificate says of itself.
 * Sources: PROTOCOL.key and PROTOCOL.certkeys of OpenSSH; RFC 8709.
 */
import { createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes } from "node:crypto";
import { FleetError } from "@muster/protocol/errors";
import { rawPublic } from "@muster/protocol/nkey";

const MAGIC = "openssh-key-v1\0";
const TYPE = "ssh-ed25519";
const PKCS8_ED25519 = Buffer.from("302e020100300506032b657004220420", "hex");

class Reader {
  readonly #data: Buffer;
  #at = 0;

  constructor(data: Buffer) {
    this.#data = data;
  }

  number(): number {
    this.#need(4);
    this.#at += 4;
    return this.#data.readUInt32BE(this.#at - 4);
  }

  long(): bigint {
    this.#need(8);
    this.#at += 8;
    return this.#data.readBigUInt64BE(this.#at - 8);
  }

  bytes(): Buffer {
    const length = this.number();
    this.#need(length);
    this.#at += length;
    return this.#data.subarray(this.#at - length, this.#at);
  }

  text(): string {
    return this.bytes().toString("utf8");
  }

  get empty(): boolean {
    return this.#at >= this.#data.length;
  }

  #need(length: number): void {
    if (this.#at + length > this.#data.length)
      throw new FleetError("INVALID", "an OpenSSH key ends too early");
  }
}

const field = (data: Uint8Array | string): Buffer => {
  const bytes = Buffer.from(data);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
};
const number = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

export type SshHostKey = { readonly key: KeyObject; readonly public_key: string };

const publicBlob = (raw: Buffer) => Buffer.concat([field(TYPE), field(raw)]);
const hostKey = (seed: Uint8Array): SshHostKey => {
  const key = createPrivateKey({ key: Buffer.concat([PKCS8_ED25519, seed]), format: "der", type: "pkcs8" });
  return { key, public_key: `${TYPE} ${publicBlob(rawPublic(key)).toString("base64")}` };
};

/** Reads a private host key. Errors: INVALID when it is not an unencrypted Ed25519 key of OpenSSH; it never quotes the file. */
export function readSshPrivateKey(text: string): SshHostKey {
  const body = /-----BEGIN OPENSSH PRIVATE KEY-----([\s\S]+?)-----END OPENSSH PRIVATE KEY-----/.exec(
    text,
  )?.[1];
  if (body === undefined) throw new FleetError("INVALID", "not a private key of OpenSSH");
  const data = Buffer.from(body.replace(/\s/g, ""), "base64");
  if (data.subarray(0, MAGIC.length).toString("latin1") !== MAGIC)
    throw new FleetError("INVALID", "not a private key of OpenSSH");
  const outer = new Reader(data.subarray(MAGIC.length));
  const cipher = outer.text();
  outer.text();
  outer.bytes();
  const keys = outer.number();
  if (cipher !== "none" || keys !== 1) throw new FleetError("INVALID", "the ssh host key is encrypted");
  outer.bytes();
  const inner = new Reader(outer.bytes());
  const [check, again] = [inner.number(), inner.number()];
  if (check !== again) throw new FleetError("INVALID", "the ssh host key is damaged");
  if (inner.text() !== TYPE) throw new FleetError("INVALID", `the ssh host key must be ${TYPE}`);
  const raw = inner.bytes();
  const secret = inner.bytes();
  if (raw.length !== 32 || secret.length !== 64)
    throw new FleetError("INVALID", "the ssh host key is damaged");
  const found = hostKey(secret.subarray(0, 32));
  if (!rawPublic(found.key).equals(raw)) throw new FleetError("INVALID", "the ssh host key is damaged");
  return found;
}

/** A new host key with the text of its private file. */
export function makeSshKey(comment: string): SshHostKey & { private_text: string } {
  const pkcs8 = generateKeyPairSync("ed25519").privateKey.export({ format: "der", type: "pkcs8" });
  const seed = pkcs8.subarray(-32);
  const made = hostKey(seed);
  const raw = rawPublic(made.key);
  const check = randomBytes(4);
  const plain = Buffer.concat([
    check,
    check,
    field(TYPE),
    field(raw),
    field(Buffer.concat([seed, raw])),
    field(comment),
  ]);
  const padding = Buffer.from(Array.from({ length: (8 - (plain.length % 8)) % 8 }, (_, index) => index + 1));
  const data = Buffer.concat([
    Buffer.from(MAGIC, "latin1"),
    field("none"),
    field("none"),
    field(""),
    number(1),
    field(publicBlob(raw)),
    field(Buffer.concat([plain, padding])),
  ]);
  const lines = data.toString("base64").match(/.{1,70}/g) ?? [];
  const private_text = `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines.join("\n")}\n-----END OPENSSH PRIVATE KEY-----\n`;
  return { ...made, private_text };
}

export type SshCertificateFacts = {
  /** Of the key that it certifies, as `ssh-ed25519 AAAA…`. */
  readonly public_key: string;
  readonly serial: bigint;
  readonly host: boolean;
  readonly principals: readonly string[];
  readonly not_before_ms: number;
  readonly not_after_ms: number;
  readonly blob: string;
};

/** What an OpenSSH certificate (one line) says; its signature is sshd's and the client's to check. Errors: INVALID. */
export function readSshCertificate(line: string): SshCertificateFacts {
  const [type, blob = ""] = line.trim().split(/\s+/);
  if (type !== `${TYPE}-cert-v01@openssh.com`)
    throw new FleetError("INVALID", "not an ssh-ed25519 certificate");
  const reader = new Reader(Buffer.from(blob, "base64"));
  if (reader.text() !== type) throw new FleetError("INVALID", "the ssh certificate is damaged");
  reader.bytes();
  const raw = reader.bytes();
  const serial = reader.long();
  const kind = reader.number();
  reader.text();
  const names = new Reader(reader.bytes());
  const principals: string[] = [];
  while (!names.empty) principals.push(names.text());
  const seconds = (value: bigint) => Number(value > 8_640_000_000_000n ? 8_640_000_000_000n : value) * 1_000;
  const not_before_ms = seconds(reader.long());
  const not_after_ms = seconds(reader.long());
  return {
    public_key: `${TYPE} ${publicBlob(raw).toString("base64")}`,
    serial,
    host: kind === 2,
    principals,
    not_before_ms,
    not_after_ms,
    blob,
  };
}
