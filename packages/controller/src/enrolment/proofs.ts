/** Whether a machine has the keys that it names: nkey, ssh host key and TLS key each signed the text over our nonce. */
import { type KeyObject, verify } from "node:crypto";
import { readCsr } from "@muster/ports/csr";
import { decodePublic, type JoinRequest, proofText, publicKeyObject } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";

const SSH_TYPE = "ssh-ed25519";

/** Errors: BAD_PROOF, naming the key that was not proved. The curve key was proved by opening the nonce. */
export async function checkProofs({ claim, proofs }: JoinRequest): Promise<void> {
  const text = proofText(claim);
  const tls = await plainCsr(claim.csr, claim.name);
  prove("nkey", () => publicKeyObject(decodePublic("user", claim.id)), text, proofs.id);
  prove("ssh host key", () => sshPublicKey(claim.ssh_public_key), text, proofs.ssh);
  prove("TLS key", () => tls, text, proofs.tls);
}

/**
 * The public key of a request that asks for that name and nothing beside. Vault's roles fix the names, so that more would be left out: but whoever asks for
 * more is no agent of ours. Errors: INVALID, BAD_PROOF for a key that the asker does not have.
 */
export async function plainCsr(csr_pem: string, name: string): Promise<KeyObject> {
  const { public_key, subject, extensions } = await readCsr(csr_pem);
  if (subject !== `CN=${name}`)
    throw new FleetError(
      "INVALID",
      `the certificate request is for ${subject.slice(0, 200)}, not CN=${name}`,
    );
  if (extensions.length > 0)
    throw new FleetError(
      "INVALID",
      `the certificate request asks for more than the name of ${name} (extensions ${extensions.slice(0, 8).join(", ")}): names are given, not asked for`,
    );
  return public_key;
}

function prove(what: string, read: () => KeyObject, text: Uint8Array, signature: string): void {
  let key: KeyObject;
  try {
    key = read();
  } catch (cause) {
    throw new FleetError("BAD_PROOF", `the ${what} cannot be read`, { cause });
  }
  const type = key.asymmetricKeyType;
  if (type !== "ed25519" && type !== "ec")
    throw new FleetError("BAD_PROOF", `the ${what} must be Ed25519 or P-256`);
  const good = verify(type === "ec" ? "sha256" : null, text, key, Buffer.from(signature, "base64"));
  if (!good) throw new FleetError("BAD_PROOF", `the ${what} did not sign this request`);
}

/** The key of an OpenSSH public key line: RFC 4253 §6.6 and RFC 8709 §4, two strings with their lengths. */
function sshPublicKey(line: string): KeyObject {
  const blob = Buffer.from(line.split(" ")[1] ?? "", "base64");
  const type = string(blob, 0);
  const key = string(blob, 4 + type.length);
  if (type.toString() !== SSH_TYPE || key.length !== 32 || blob.length !== 8 + type.length + key.length)
    throw new TypeError(`not an ${SSH_TYPE} key`);
  return publicKeyObject(key);
}

function string(blob: Buffer, at: number): Buffer {
  const length = blob.readUInt32BE(at);
  if (at + 4 + length > blob.length) throw new TypeError("the key is cut off");
  return blob.subarray(at + 4, at + 4 + length);
}
