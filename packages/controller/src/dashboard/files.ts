/**
 * The page's files as it was built: `<name>.gz` in one directory, read when they are asked for and not kept. The page may load nothing from elsewhere,
 * run no script but its own, and speak to its own server and the fleet's brokers only.
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { extname, join } from "node:path";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};
const NAME = /^[a-z0-9-]+\.[a-z]+$/;

export type PageFile = {
  readonly type: string;
  readonly etag: string;
  readonly body: Uint8Array;
  readonly gzipped: boolean;
};

/** A file by the path of its request; null when there is none. */
export async function pageFile(directory: string, path: string, gzip: boolean): Promise<PageFile | null> {
  const name = path === "/" ? "index.html" : path.slice(1);
  const type = TYPES[extname(name)];
  if (type === undefined || !NAME.test(name)) return null;
  const packed = await readFile(join(directory, `${name}.gz`)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw error;
  });
  if (packed === null) return null;
  const etag = `"${createHash("sha256").update(packed).digest("base64url").slice(0, 22)}"`;
  return { type, etag, body: gzip ? packed : await promisify(gunzip)(packed), gzipped: gzip };
}

/** The brokers that the page is told of: a policy cannot name an IPv6 address, so these only where there is nothing else. */
export function pageBrokers(brokers: readonly string[]): readonly string[] {
  const named = brokers.filter((broker) => !broker.includes("["));
  return named.length > 0 ? named : brokers;
}

/** What every answer says to the browser. `brokers` as `pageBrokers` gives them. */
export function pageHeaders(brokers: readonly string[]): Readonly<Record<string, string>> {
  const policy = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    `connect-src 'self' ${brokers.some((broker) => broker.includes("[")) ? "wss:" : brokers.join(" ")}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
  ];
  return {
    "content-security-policy": policy.join("; "),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
  };
}
