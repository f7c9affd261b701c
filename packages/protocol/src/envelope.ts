/**
 * The signed envelope: who says this, on what subject, when. Headers carry the signer's certificate (or, for a trust bundle, an admin
 * key) and an Ed25519 signature over the logical subject, time, nonce and raw body. Headers that a server sets are never trusted.
 *
 * What is signed, as bytes:
 *
 *     muster envelope 1 LF  <logical subject> LF  <time, ms since 1970> LF  <nonce> LF  <raw body>
 *
 * The first line has spaces, which no NATS server nonce may have, so that a broker cannot have one signed in its place.
 */
import { type KeyObject, randomBytes, verify } from "node:crypto";
import { z } from "zod";
import { type Authority, type CertificateReader, type Principal, permits } from "./certificate.ts";
import { FleetError } from "./errors.ts";
import { publicKeyObject, signEd25519 } from "./nkey.ts";

export const HEADER = {
  certificate: "Muster-Certificate",
  key: "Muster-Key",
  signature: "Muster-Signature",
  time: "Muster-Time",
  nonce: "Muster-Nonce",
} as const;

/** A message as it travels or is kept on disk. `body` is base64 where it is kept as JSON. */
export type Envelope = { readonly headers: Readonly<Record<string, string>>; readonly body: Uint8Array };

/** An envelope as JSON, for disk and for messages that carry envelopes. */
export const StoredEnvelope = z.strictObject({
  headers: z.record(z.string().max(64), z.string().max(8_192)).describe("Signer, signature, time and nonce."),
  body: z.base64().describe("The signed bytes, in base64."),
});
export type StoredEnvelope = z.infer<typeof StoredEnvelope>;

export const storeEnvelope = (envelope: Envelope): StoredEnvelope => ({
  headers: Object.fromEntries(
    Object.values(HEADER).flatMap((name) => {
      const value = envelope.headers[name];
      return value === undefined ? [] : [[name, value]];
    }),
  ),
  body: Buffer.from(envelope.body).toString("base64"),
});

export const loadEnvelope = (stored: StoredEnvelope): Envelope => ({
  headers: stored.headers,
  body: Buffer.from(stored.body, "base64"),
});

/** Who signs: a certificate (base64 DER) and its key, or an admin key alone (raw public key, base64). */
export type EnvelopeSigner =
  | { readonly certificate: string; readonly key: KeyObject }
  | { readonly admin_key: string; readonly key: KeyObject };

/** A command is taken within this of the receiver's clock. */
export const COMMAND_WINDOW_MS = 60_000;

/**
 * A challenge makes up for no more than this. The receiver cannot tell its own wrong clock from a time that a thief of an expired key
 * wrote: so an expired certificate is worth something for at most this long.
 */
export const CHALLENGED_WINDOW_MS = 3_600_000;

const bytes = (subject: string, time: string, nonce: string, body: Uint8Array) =>
  Buffer.concat([Buffer.from(`muster envelope 1\n${subject}\n${time}\n${nonce}\n`), body]);

/** Signs `body` for a logical subject. `nonce` is given only where a receiver's challenge is answered. */
export function seal(
  subject: string,
  body: Uint8Array,
  signer: EnvelopeSigner,
  now_ms: number,
  nonce?: string,
): Envelope {
  const time = String(now_ms);
  const unique = nonce ?? randomBytes(16).toString("hex");
  const signature = signEd25519(signer.key, bytes(subject, time, unique, body)).toString("base64");
  const who =
    "certificate" in signer
      ? { [HEADER.certificate]: signer.certificate }
      : { [HEADER.key]: signer.admin_key };
  return {
    headers: { ...who, [HEADER.signature]: signature, [HEADER.time]: time, [HEADER.nonce]: unique },
    body,
  };
}

/** The parts of an opened envelope. */
export type Opened = {
  readonly principal: Principal;
  readonly signed_at_ms: number;
  readonly nonce: string;
  readonly body: Uint8Array;
};

/** What an envelope is held against. `voided` says whether a signer was revoked before that time. */
export type Verifier = {
  readonly certificates: CertificateReader;
  voided(principal: Principal, at_ms: number): boolean;
};

function headersOf(envelope: Envelope): {
  signature: Buffer;
  time: string;
  signed_at_ms: number;
  nonce: string;
} {
  const { [HEADER.signature]: signature, [HEADER.time]: time, [HEADER.nonce]: nonce } = envelope.headers;
  if (signature === undefined || time === undefined || nonce === undefined) {
    throw new FleetError("UNSIGNED", "signature, time or nonce is missing");
  }
  if (!/^\d{1,16}$/.test(time) || !/^[0-9a-f]{16,64}$/.test(nonce))
    throw new FleetError("INVALID", "time or nonce has a wrong form");
  return { signature: Buffer.from(signature, "base64"), time, signed_at_ms: Number(time), nonce };
}

/**
 * Checks signature, certificate and rank of an envelope as of the time at which it was signed. Says nothing about that time: a command's
 * is judged by `openCommand`, a manifest's by the ledger.
 * Errors: UNSIGNED, INVALID, BAD_CERTIFICATE, BAD_SIGNATURE, VOIDED, NOT_ALLOWED.
 */
export function open(
  subject: string,
  envelope: Envelope,
  verifier: Verifier,
  authority: Authority,
  options: { signs_release?: boolean } = {},
): Opened {
  const { signature, time, signed_at_ms, nonce } = headersOf(envelope);
  const certificate = envelope.headers[HEADER.certificate];
  if (certificate === undefined) throw new FleetError("UNSIGNED", "the signer's certificate is missing");
  const { principal, key } = verifier.certificates.read(certificate, signed_at_ms);
  if (!verify(null, bytes(subject, time, nonce, envelope.body), key, signature)) {
    throw new FleetError("BAD_SIGNATURE", `said to be by ${principal.name} on ${subject}`);
  }
  if (verifier.voided(principal, signed_at_ms)) throw new FleetError("VOIDED", principal.name);
  if (!permits(authority, principal.rank, options.signs_release)) {
    throw new FleetError("NOT_ALLOWED", `${principal.name} is ${principal.rank}, this needs ${authority}`);
  }
  return { principal, signed_at_ms, nonce, body: envelope.body };
}

/** What a receiver remembers of commands, so that each works once, also after a restart and at all receivers that share a subject. */
export type CommandMemory = {
  /** What was signed before this is only taken with a challenge: the memory does not reach further back. */
  readonly signed_from_ms: number;
  /**
   * Remembers the nonce until `until_ms`, so that it lasts as long as the memory says, and only then resolves; false when it was there already.
   * `acts`: the command changes something. Errors: TOO_LARGE, and those of where it is kept.
   */
  remember(
    nonce: string,
    command: { readonly signed_at_ms: number; readonly until_ms: number; readonly acts: boolean },
  ): Promise<boolean>;
  /** A fresh challenge, for who signed well and whose clock is off. */
  give(): Promise<string>;
  /** Whether that challenge was given and is still good. Who takes it remembers its nonce. */
  take(nonce: string): Promise<boolean>;
};

/**
 * Opens a command: as `open`, judged now. Within 60 s of our clock, or within an hour when it signs the challenge that we gave as its nonce.
 * Errors: as `open`, and CLOCK_SKEW (detail says how far the clocks are apart), REPLAYED.
 */
export async function openCommand(
  subject: string,
  envelope: Envelope,
  verifier: Verifier,
  authority: Authority,
  now: { now_ms: number; memory: CommandMemory; acts: boolean; signs_release?: boolean },
): Promise<Opened> {
  const opened = open(subject, envelope, verifier, authority, { signs_release: now.signs_release ?? false });
  // Whoever is void now gives no order, also none that he signed before and that was kept back.
  if (verifier.voided(opened.principal, now.now_ms)) throw new FleetError("VOIDED", opened.principal.name);
  const { signed_at_ms } = opened;
  const skew_ms = signed_at_ms - now.now_ms;
  const near = Math.abs(skew_ms) <= COMMAND_WINDOW_MS;
  const early = signed_at_ms < now.memory.signed_from_ms;
  if (!near || early) {
    const challenged = Math.abs(skew_ms) <= CHALLENGED_WINDOW_MS && (await now.memory.take(opened.nonce));
    if (!challenged && !near)
      throw new FleetError("CLOCK_SKEW", `the signer's clock is ${Math.round(skew_ms / 1000)} s off ours`);
    if (!challenged)
      throw new FleetError("CLOCK_SKEW", "signed before this program's memory of commands begins");
  }
  // One that is ahead of our clock comes into its window later.
  const until_ms = Math.max(now.now_ms, signed_at_ms) + 2 * COMMAND_WINDOW_MS;
  if (!(await now.memory.remember(opened.nonce, { signed_at_ms, until_ms, acts: now.acts })))
    throw new FleetError("REPLAYED", subject);
  return opened;
}

/** Checks an envelope that an admin key signed (a trust bundle); `admin_keys` are raw public keys, base64. Errors: UNSIGNED, INVALID, BAD_SIGNATURE, NOT_ALLOWED. */
export function openByAdminKey(
  subject: string,
  envelope: Envelope,
  admin_keys: readonly string[],
): Uint8Array {
  const { signature, time, nonce } = headersOf(envelope);
  const key = envelope.headers[HEADER.key];
  if (key === undefined) throw new FleetError("UNSIGNED", "the admin key is missing");
  if (!admin_keys.includes(key)) throw new FleetError("NOT_ALLOWED", "not an admin key of this fleet");
  const good = verify(
    null,
    bytes(subject, time, nonce, envelope.body),
    publicKeyObject(Buffer.from(key, "base64")),
    signature,
  );
  if (!good) throw new FleetError("BAD_SIGNATURE", subject);
  return envelope.body;
}
