/**
 * Sealed bytes: readable only by who holds the recipient's curve key (X25519, XSalsa20-Poly1305, NATS' xkey form `xkv1`). The curve goes through
 * node:crypto, ten times as fast as the library; the cipher, which node:crypto has not, through the library that NATS' own nkeys use.
 * Sources: github.com/nats-io/nkeys, xkeys.go; nacl.cr.yp.to/box.html (a box is a secretbox under HSalsa20 of the shared point).
 */
import { createPublicKey, diffieHellman, type KeyObject, randomBytes } from "node:crypto";
import nacl from "tweetnacl";
import { FleetError } from "./errors.ts";
import { createSeed, decodePublic, decodeSeed, encodePublic, privateKeyObject, rawPublic } from "./nkey.ts";

export type CurvePair = { readonly public: string; readonly seed: string };

const FORM = Buffer.from("xkv1");
const SIGMA = Buffer.from("expand 32-byte k");
/** The library has it and its types do not. */
const { crypto_core_hsalsa20: hsalsa20 } = (
  nacl as unknown as {
    lowlevel: {
      crypto_core_hsalsa20(out: Uint8Array, input: Uint8Array, key: Uint8Array, sigma: Uint8Array): void;
    };
  }
).lowlevel;

/** A key is read once for as long as somebody holds it. */
const read = new WeakMap<CurvePair, KeyObject>();
/** Who asks asks again: what a pair shares with the last public keys that it met, for as long as somebody holds it. */
const shared = new WeakMap<CurvePair, Map<string, Uint8Array>>();
const MET = 256;

/** Makes a curve key pair; the seed is a secret. */
export function createCurvePair(): CurvePair {
  const seed = createSeed("curve");
  const key = readSeed(seed);
  const pair = { public: encodePublic("curve", rawPublic(key)), seed };
  read.set(pair, key);
  return pair;
}

/** Seals `data` from `sender` to the public curve key `to`. INVALID when `to` is not one. */
export function sealTo(to: string, data: Uint8Array, sender: CurvePair): Uint8Array {
  try {
    const nonce = randomBytes(nacl.secretbox.nonceLength);
    return Buffer.concat([FORM, nonce, nacl.secretbox(data, nonce, sharedKey(to, sender))]);
  } catch (cause) {
    throw new FleetError("INVALID", "not a curve key to seal to", { cause });
  }
}

/** Opens what `from` sealed to us. BAD_SIGNATURE when it was for another key or was altered. */
export function openSealed(from: string, box: Uint8Array, recipient: CurvePair): Uint8Array {
  const head = FORM.length + nacl.secretbox.nonceLength;
  let data: Uint8Array | null = null;
  let cause: unknown;
  try {
    if (box.length > head && FORM.equals(box.subarray(0, FORM.length)))
      data = nacl.secretbox.open(
        box.subarray(head),
        box.subarray(FORM.length, head),
        sharedKey(from, recipient),
      );
  } catch (error) {
    cause = error;
  }
  if (data === null)
    throw new FleetError("BAD_SIGNATURE", "a sealed message is not for us, or was altered", { cause });
  return data;
}

/** TypeError, or an error of node:crypto, for a key that is none and for one whose shared point is zero. */
function sharedKey(other: string, own: CurvePair): Uint8Array {
  const met = shared.get(own) ?? new Map<string, Uint8Array>();
  shared.set(own, met);
  const known = met.get(other);
  if (known !== undefined) return known;
  const x = Buffer.from(decodePublic("curve", other)).toString("base64url");
  const publicKey = createPublicKey({ key: { kty: "OKP", crv: "X25519", x }, format: "jwk" });
  const out = new Uint8Array(32);
  hsalsa20(out, new Uint8Array(16), diffieHellman({ privateKey: keyOf(own), publicKey }), SIGMA);
  if (met.size >= MET) met.clear();
  met.set(other, out);
  return out;
}

function keyOf(pair: CurvePair): KeyObject {
  const key = read.get(pair) ?? readSeed(pair.seed);
  read.set(pair, key);
  return key;
}

function readSeed(seed: string): KeyObject {
  const { kind, raw } = decodeSeed(seed);
  if (kind !== "curve") throw new TypeError("not a curve seed");
  return privateKeyObject("X25519", raw);
}
