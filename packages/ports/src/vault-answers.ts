/**
 * What an answer of Vault means: pure. Errors keep Vault's own words, without the token and without what was sent.
 * Source: developer.hashicorp.com/vault/api-docs, "HTTP status codes".
 */
import { FleetError } from "@muster/protocol/errors";
import { REDACTED, redactText } from "./redact.ts";

const WORDS_LIMIT = 1_000;
/** Shorter values are left: taking "host" or "24h" out of a sentence hides the sentence and no secret. */
const SECRET_MIN_LENGTH = 6;
/** Fields of a request that Vault's words need to name and that are public in any certificate or policy. */
const PUBLIC_FIELDS = new Set([
  "common_name",
  "alt_names",
  "ip_sans",
  "uri_sans",
  "ttl",
  "max_ttl",
  "valid_principals",
  "cert_type",
  "type",
  "name",
  "role_name",
  "policies",
  "policy",
  "token_policies",
  "path",
  "public_key",
  "csr",
]);

/** True when another server may answer this better: sealed, standby that cannot forward, gateway errors. */
export function answersElsewhere(status: number): boolean {
  return (status >= 300 && status < 400) || status === 502 || status === 503 || status === 504;
}

/**
 * True when nothing was carried out and the next try may be: the servers of a cluster have no leader for the moment (a redirect leads to the one that
 * is gone), or a KV store that was just made is being converted to versions, which a new leader begins anew.
 */
export function isPassing(answer: { status: number; body: unknown }): boolean {
  const words = vaultWords(answer.body);
  return (
    answer.status === 307 ||
    (answer.status >= 500 && NO_LEADER.test(words)) ||
    (answer.status >= 400 && CONVERTING.test(words))
  );
}
const NO_LEADER = /active cluster node not found|no active vault instance/i;
const CONVERTING = /unavailable for a brief period/i;

/**
 * The error that an answer stands for, or undefined when it is a success.
 * @param about the request in the operator's words, e.g. "POST pki/sign/host"
 * @param secrets values that must not appear: the token, and the request's body
 */
export function answerError(
  answer: { status: number; body: unknown },
  about: string,
  secrets: { token?: string | undefined; sent?: unknown; login?: boolean },
): FleetError | undefined {
  const { status } = answer;
  if (status >= 200 && status < 300) return undefined;
  const words = vaultWords(answer.body);
  const clean = hide(words === "" ? `status ${status}` : words, secrets).slice(0, WORDS_LIMIT);
  const detail = `${hide(about, { token: secrets.token })}: ${clean}`;
  if (status >= 300 && status < 400) {
    return new FleetError("VAULT_UNREACHABLE", `${detail}: it redirects elsewhere, which is not followed`);
  }
  if (status >= 500 && NO_LEADER.test(words))
    return new FleetError("VAULT_UNREACHABLE", `${detail}: its servers are without a leader`);
  if (CONVERTING.test(words)) return new FleetError("VAULT_UNREACHABLE", detail);
  if (status === 503 && /sealed|not initialized/i.test(words)) return new FleetError("VAULT_SEALED", detail);
  if (status === 502 || status === 503 || status === 504) return new FleetError("VAULT_UNREACHABLE", detail);
  // A refused log-in comes as 400 from some methods and as 403 from others.
  if (status === 401 || status === 403 || (status === 400 && secrets.login === true)) {
    return new FleetError("VAULT_DENIED", detail);
  }
  if (status === 404) return new FleetError("VAULT_NOT_FOUND", detail);
  return new FleetError("VAULT_REFUSED", detail);
}

/** The part of an answer that callers read: `data`, or the whole where Vault sends none (log-ins, wrapping, sys/init). */
export function answerContent(body: unknown): unknown {
  if (typeof body !== "object" || body === null || !("data" in body)) return body;
  const { data } = body;
  return typeof data === "object" && data !== null ? data : body;
}

function vaultWords(body: unknown): string {
  if (typeof body !== "object" || body === null || !("errors" in body) || !Array.isArray(body.errors))
    return "";
  return body.errors
    .filter((word): word is string => typeof word === "string")
    .map((word) => word.replace(/\s+/g, " ").trim())
    .join("; ");
}

function hide(text: string, secrets: { token?: string | undefined; sent?: unknown }): string {
  const values = new Set<string>();
  if (secrets.token !== undefined && secrets.token !== "") values.add(secrets.token);
  collect(secrets.sent, undefined, values);
  let clean = text;
  // The longest first: a value may be part of another.
  for (const value of [...values].sort((a, b) => b.length - a.length))
    clean = clean.replaceAll(value, REDACTED);
  return redactText(clean);
}

function collect(sent: unknown, field: string | undefined, into: Set<string>): void {
  if (typeof sent === "string") {
    if (sent.length >= SECRET_MIN_LENGTH && (field === undefined || !PUBLIC_FIELDS.has(field))) {
      into.add(sent);
      // Vault may quote a part of what it was sent.
      for (const word of sent.split(/[\s"'`,;:=]+/)) if (word.length >= SECRET_MIN_LENGTH) into.add(word);
    }
  } else if (typeof sent === "object" && sent !== null) {
    for (const [key, value] of Object.entries(sent)) collect(value, Array.isArray(sent) ? field : key, into);
  }
}
