/**
 * The join string that `ctl join` prints for one machine, and the fleet string for machines and people that come without one.
 * A join string is `mj1.<claims>.<certificate>.<signature>` in base64url: signed by an operator, no bus credential in it.
 * A fleet string is `<address>[,<address>…]#<anchor>`.
 */
import { z } from "zod";
import { type Envelope, type EnvelopeSigner, HEADER, open, seal, type Verifier } from "./envelope.ts";
import { FleetError, parse, parseJson } from "./errors.ts";
import { FleetName, GroupName, HostName, Instant, RandomId } from "./names.ts";

/** A broker's `host:port`, or `[v6]:port`. */
const Address = z
  .string()
  .max(270)
  .regex(/^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(:\d{1,5})?$/, "must be HOST or HOST:PORT, IPv6 in brackets");

export const JoinClaims = z.strictObject({
  v: z.literal(1),
  fleet: FleetName,
  anchor: z.string().max(64),
  brokers: z.array(Address).min(1).max(16),
  id: RandomId.describe("Works once."),
  name: HostName.optional().describe(
    "The host's name; without it, the machine's own name is asked for and must be in a group given here.",
  ),
  groups: z.array(GroupName).max(32).default([]),
  networks: z
    .array(z.string().max(64))
    .max(32)
    .default([])
    .describe("CIDR ranges that the machine must come from; empty = any."),
  not_after: Instant,
  vault_token: z
    .string()
    .max(512)
    .optional()
    .describe("A wrapped one-use Vault token, for the host's own Vault log-in."),
});
export type JoinClaims = z.infer<typeof JoinClaims>;

const SUBJECT = "join";
const url = (data: Uint8Array | string) => Buffer.from(data).toString("base64url");

/** Signs the claims with an operator's key and writes them as one string. */
export function writeJoinString(claims: JoinClaims, signer: EnvelopeSigner, now_ms: number): string {
  const { headers, body } = seal(SUBJECT, Buffer.from(JSON.stringify(claims)), signer, now_ms);
  return `mj1.${url(body)}.${url(JSON.stringify(headers))}`;
}

function envelopeOf(text: string): Envelope {
  const [version, body, headers, ...rest] = text.trim().split(".");
  if (version !== "mj1" || body === undefined || headers === undefined || rest.length > 0) {
    throw new FleetError("JOIN_FORGED", "it must begin with mj1. and have three parts");
  }
  const form = z.record(
    z.enum([HEADER.certificate, HEADER.signature, HEADER.time, HEADER.nonce]),
    z.string(),
  );
  return {
    headers: parseJson(form, Buffer.from(headers, "base64url"), "join string"),
    body: Buffer.from(body, "base64url"),
  };
}

/** What a join string says, unproved: enough for a machine to find its broker and check the anchor. Errors: JOIN_FORGED, INVALID. */
export function readJoinString(text: string): JoinClaims {
  return parseJson(JoinClaims, envelopeOf(text).body, "join string");
}

/** Proves a join string. Errors: JOIN_FORGED (also when its signer may not), JOIN_EXPIRED. */
export function openJoinString(
  text: string,
  verifier: Verifier,
  now_ms: number,
): { claims: JoinClaims; by: string } {
  const envelope = envelopeOf(text);
  try {
    const { principal } = open(SUBJECT, envelope, verifier, "operator");
    const claims = parseJson(JoinClaims, envelope.body, "join string");
    if (now_ms > claims.not_after)
      throw new FleetError("JOIN_EXPIRED", `at ${new Date(claims.not_after).toISOString()}`);
    return { claims, by: principal.name };
  } catch (cause) {
    if (cause instanceof FleetError && cause.code === "JOIN_EXPIRED") throw cause;
    throw new FleetError("JOIN_FORGED", cause instanceof FleetError ? cause.message : "", { cause });
  }
}

export const FleetString = z.strictObject({
  addresses: z.array(Address).min(1).max(16),
  anchor: z
    .string()
    .regex(/^([A-Z2-7]{4}-){7}[A-Z2-7]{4}$/, "must be eight groups of four letters and digits"),
});
export type FleetString = z.infer<typeof FleetString>;

export const writeFleetString = (fleet: FleetString) => `${fleet.addresses.join(",")}#${fleet.anchor}`;

/** Reads `core1.example,198.51.100.1#7F3K-9QXM-…`. Errors: INVALID. */
export function readFleetString(text: string): FleetString {
  const [addresses = "", anchor = ""] = text.trim().split("#");
  return parse(
    FleetString,
    { addresses: addresses.split(","), anchor: anchor.toUpperCase() },
    "fleet string",
  );
}
