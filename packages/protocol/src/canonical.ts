/**
 * One byte form for one value: JSON after RFC 8785, and the SHA-256 over it. Everything that is compared by hash goes through here.
 */
import { createHash } from "node:crypto";
import canonicalizeJson from "canonicalize";

/** The RFC 8785 form of a JSON value. Throws a TypeError for what JSON cannot hold (a programming error). */
export function canonicalize(value: unknown): string {
  const text = canonicalizeJson(value);
  if (text === undefined) throw new TypeError("value has no JSON form");
  return text;
}

/** SHA-256 of bytes or UTF-8 text as 64 hexadecimal digits. */
export function sha256(data: Uint8Array | string): string {
  return createHash("sha256").update(data).digest("hex");
}

/** SHA-256 over the RFC 8785 form, as 64 hexadecimal digits. */
export function contentHash(value: unknown): string {
  return sha256(canonicalize(value));
}
