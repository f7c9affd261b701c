/**
 * What must never reach a log: the list of secret keys and the shapes of secret values, declared once. Used at the root
 * of every log (log.ts) and on every error that a dependency words for us (vault.ts).
 */

/** Names of fields whose value is a secret, compared without case, `-` and `_`. */
const SECRET_KEYS = new Set([
  "seed",
  "password",
  "passphrase",
  "passwd",
  "token",
  "clienttoken",
  "vaulttoken",
  "xvaulttoken",
  "wrappedtoken",
  "secret",
  "secretid",
  "secretkey",
  "secrets",
  "privatekey",
  "privatepem",
  "authorization",
  "cookie",
  "credentials",
  "creds",
  "jwt",
  "unsealkey",
  "unsealkeys",
  "keysbase64",
  "recoverykey",
  "roottoken",
]);

/** Texts that are secrets wherever they stand: nkey seeds, Vault tokens, private keys, JWTs. */
const SECRET_SHAPES: readonly RegExp[] = [
  /\bS[OAUNCX][A-Z2-7]{56}\b/g,
  /\b(?:hv[sbr]|[sbr])\.[A-Za-z0-9_-]{24,}/g,
  /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g,
  /\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*/g,
];

export const REDACTED = "[redacted]";

const DEPTH_LIMIT = 8;
const ITEM_LIMIT = 200;

/** True for a field name whose value must not be shown. */
export function isSecretKey(key: string): boolean {
  return SECRET_KEYS.has(key.toLowerCase().replace(/[-_]/g, ""));
}

/** Text with everything that has a secret's shape taken out. */
export function redactText(text: string): string {
  let clean = text;
  for (const shape of SECRET_SHAPES) clean = clean.replace(shape, REDACTED);
  return clean;
}

/**
 * A copy of `value` fit for a log: secret fields replaced, bytes shown as their length, errors as plain data with their
 * causes, depth and length bounded, circles cut.
 */
export function redactValue(value: unknown, depth = 0, seen: ReadonlySet<object> = new Set()): unknown {
  if (typeof value === "string") return redactText(value);
  if (typeof value === "bigint") return value.toString();
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Date) return value;
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (depth >= DEPTH_LIMIT) return "[deeper]";
  if (seen.has(value)) return "[circle]";
  const inside = new Set(seen).add(value);
  if (value instanceof Error) return redactError(value, depth, inside);
  if (Array.isArray(value)) {
    return value.slice(0, ITEM_LIMIT).map((item) => redactValue(item, depth + 1, inside));
  }
  const entries = value instanceof Map ? [...value.entries()] : Object.entries(value);
  return Object.fromEntries(
    entries
      .slice(0, ITEM_LIMIT)
      .map(([key, item]) => [
        String(key),
        isSecretKey(String(key)) && item !== null && item !== undefined
          ? REDACTED
          : redactValue(item, depth + 1, inside),
      ]),
  );
}

/** Only the fields that we know: libraries hang requests with their headers and bodies on their errors. */
function redactError(error: Error, depth: number, seen: ReadonlySet<object>): unknown {
  const code: unknown = "code" in error ? error.code : undefined;
  return {
    type: error.name,
    message: redactText(error.message),
    ...(typeof code === "string" || typeof code === "number" ? { code } : {}),
    ...(error.stack === undefined ? {} : { stack: redactText(error.stack) }),
    ...(error.cause === undefined ? {} : { cause: redactValue(error.cause, depth + 1, seen) }),
  };
}
