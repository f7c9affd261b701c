/**
 * Sealed bytes: readable only by who holds the recipient's curve key (X25519, XSalsa20-Poly1305, NATS' xkey form `xkv1`).
 * About 1 ms each: for enrolment and secrets, not for a hot path.
 */
import { createCurve, fromCurveSeed, fromPublic } from "nkeys.js";
import { FleetError } from "./errors.ts";

export type CurvePair = { readonly public: string; readonly seed: string };

/** Makes a curve key pair; the seed is a secret. */
export function createCurvePair(): CurvePair {
  const pair = createCurve();
  return { public: pair.getPublicKey(), seed: Buffer.from(pair.getSeed()).toString() };
}

/** Seals `data` from `sender` to the public curve key `to`. INVALID when `to` is not one. */
export function sealTo(to: string, data: Uint8Array, sender: CurvePair): Uint8Array {
  try {
    fromPublic(to);
    return fromCurveSeed(Buffer.from(sender.seed)).seal(data, to);
  } catch (cause) {
    throw new FleetError("INVALID", "not a curve key to seal to", { cause });
  }
}

/** Opens what `from` sealed to us. BAD_SIGNATURE when it was for another key or was altered. */
export function openSealed(from: string, box: Uint8Array, recipient: CurvePair): Uint8Array {
  let data: Uint8Array | null;
  try {
    data = fromCurveSeed(Buffer.from(recipient.seed)).open(box, from);
  } catch (cause) {
    throw new FleetError("BAD_SIGNATURE", "a sealed message is not for us, or was altered", { cause });
  }
  if (data === null) throw new FleetError("BAD_SIGNATURE", "a sealed message is not for us, or was altered");
  return data;
}
