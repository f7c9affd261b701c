/**
 * One byte form for one value: JSON after RFC 8785, and the SHA-256 over it. Everything that is compared by hash goes through here, a host's whole content several
 * times at every change: the library `canonicalize`, against which the test holds this, looks at each letter in JavaScript and takes four times as long.
 */
import { hash } from "node:crypto";

/** The RFC 8785 form of a JSON value. Throws a TypeError for what JSON cannot hold (a programming error). */
export function canonicalize(value: unknown): string {
  switch (typeof value) {
    case "string":
      if (!value.isWellFormed()) throw new TypeError("half of a surrogate pair has no JSON form");
      return JSON.stringify(value);
    case "number":
      if (!Number.isFinite(value)) throw new TypeError(`${value} has no JSON form`);
      return JSON.stringify(value);
    case "boolean":
      return value ? "true" : "false";
    case "object":
      return value === null ? "null" : formOf(value);
    default:
      throw new TypeError("value has no JSON form");
  }
}

/** As `JSON.stringify` does, what is undefined is left out of an object and null in a list. */
function formOf(value: object): string {
  if ("toJSON" in value && typeof value.toJSON === "function") return canonicalize(value.toJSON());
  if (Array.isArray(value))
    return `[${value.map((each) => (isNothing(each) ? "null" : canonicalize(each))).join(",")}]`;
  const parts: string[] = [];
  // By UTF-16 code units, as RFC 8785 §3.2.3 wants it and `sort` does it.
  for (const key of Object.keys(value).sort()) {
    const each: unknown = (value as Record<string, unknown>)[key];
    if (!isNothing(each)) parts.push(`${canonicalize(key)}:${canonicalize(each)}`);
  }
  return `{${parts.join(",")}}`;
}

const isNothing = (value: unknown) => value === undefined || typeof value === "symbol";

/** SHA-256 of bytes or UTF-8 text as 64 hexadecimal digits. */
export function sha256(data: Uint8Array | string): string {
  return hash("sha256", data);
}

/** SHA-256 over the RFC 8785 form, as 64 hexadecimal digits. */
export function contentHash(value: unknown): string {
  return sha256(canonicalize(value));
}
