/**
 * The four keys of a host, made here and never sent anywhere: the nkey (its address on the bus), the curve key (sealed replies), the TLS
 * key of its services, and sshd's own host key. The first three are in one file of the state directory, mode 0600.
 */
import { createPrivateKey, type KeyObject, sign } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { CurvePair, Nkey } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import { createNkey, nkeyFromSeed, signEd25519 } from "@muster/protocol/nkey";
import { createCurvePair } from "@muster/protocol/sealed";
import { z } from "zod";
import { makeSshKey, readSshPrivateKey, type SshHostKey } from "./sshkey.ts";
import { isMissing, readKept, writeKept, writeSynced } from "./store.ts";

const Keys = z.strictObject({
  v: z.literal(1),
  nkey_seed: z.string(),
  curve_seed: z.string(),
  curve: z.string(),
  tls_pem: z.string(),
});

export type Identity = {
  /** The host's id on the bus. */
  readonly id: string;
  readonly nkey: Nkey;
  readonly curve: CurvePair;
  /** PKCS#8, PEM; P-256. */
  readonly tls_pem: string;
  readonly tls_key: KeyObject;
  readonly ssh: SshHostKey;
};

/**
 * Reads the keys, and makes those that are missing. A damaged key file is an error and not a reason for new keys: the host would be another one.
 * Errors: FAILED, INVALID.
 */
export async function openIdentity(keys_file: string, ssh_key_file: string): Promise<Identity> {
  const kept = await readKept(keys_file, Keys);
  const keys = kept?.value ?? (await makeKeys(keys_file));
  const nkey = nkeyFromSeed(keys.nkey_seed);
  return {
    id: nkey.public,
    nkey,
    curve: { public: keys.curve, seed: keys.curve_seed },
    tls_pem: keys.tls_pem,
    tls_key: createPrivateKey(keys.tls_pem),
    ssh: await openSshKey(ssh_key_file),
  };
}

async function makeKeys(file: string): Promise<z.infer<typeof Keys>> {
  const { makeKey } = await import("@muster/ports/csr");
  const curve = createCurvePair();
  const keys = {
    v: 1 as const,
    nkey_seed: createNkey("user").seed,
    curve_seed: curve.seed,
    curve: curve.public,
    tls_pem: makeKey("p256").private_pem,
  };
  await writeKept(file, keys);
  return keys;
}

async function openSshKey(file: string): Promise<SshHostKey> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    if (!isMissing(cause)) throw new FleetError("FAILED", `${file}: it cannot be read`, { cause });
    const made = makeSshKey("made by muster-agent");
    await writeSynced(file, made.private_text);
    await writeSynced(`${file}.pub`, `${made.public_key} made by muster-agent\n`, 0o644);
    return made;
  }
  return readSshPrivateKey(text);
}

/** The signatures that prove the keys over `text`, base64. The curve key is proved by opening what was sealed to it. */
export function prove(identity: Identity, text: Uint8Array): { id: string; ssh: string; tls: string } {
  return {
    id: signEd25519(identity.nkey.key, text).toString("base64"),
    ssh: signEd25519(identity.ssh.key, text).toString("base64"),
    tls: sign("sha256", text, identity.tls_key).toString("base64"),
  };
}
