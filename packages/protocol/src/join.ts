/**
 * The join string that `ctl join` prints for one machine, and the fleet string for machines and people that come without one.
 * A join string is `mj1.<claims>.<signature and certificate>` in base64url: signed by an operator, no bus credential in it. Two parts may follow that the
 * machine keeps to itself, since controllers must not have them: a wrapped one-use Vault token for its own log-in, and the private half of the claims'
 * `key`, with which it proves to people that it is the machine that one of them gave this string to (`Joined`).
 * A fleet string is `<address>[,<address>…]#<anchor>`.
 */
import { verify } from "node:crypto";
import { z } from "zod";
import { type Envelope, type EnvelopeSigner, HEADER, open, seal, type Verifier } from "./envelope.ts";
import { FleetError, parse, parseJson } from "./errors.ts";
import { FleetName, GroupName, HostId, HostName, Instant, RandomId } from "./names.ts";
import { decodePublic, decodeSeed, nkeyFromSeed, publicKeyObject, signEd25519 } from "./nkey.ts";

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
  replaces: HostId.optional().describe("The key that the name stands for now, and then no more."),
  key: HostId.optional().describe("Public nkey; who has its private half was given the whole string."),
});
export type JoinClaims = z.infer<typeof JoinClaims>;

const JoinHeaders = z.record(
  z.enum([HEADER.certificate, HEADER.signature, HEADER.time, HEADER.nonce]),
  z.string(),
);

const SUBJECT = "join";
const url = (data: Uint8Array | string) => Buffer.from(data).toString("base64url");

const Seed = z.string().refine(isSeed, "must be the seed of a user nkey");
function isSeed(text: string): boolean {
  try {
    return decodeSeed(text).kind === "user";
  } catch {
    return false;
  }
}

/** A wrapped token of Vault, or of OpenBao. */
const WrappedToken = z.string().regex(/^[A-Za-z0-9._-]{8,512}$/, "must be a token of Vault");

/** What only the machine sees: a wrapped one-use token of Vault, and the seed of the claims' `key`. */
export type OwnParts = { readonly vault_token?: string | null; readonly seed?: string | null };

/** Signs the claims with an operator's key and writes them as one string. */
export function writeJoinString(
  claims: JoinClaims,
  signer: EnvelopeSigner,
  now_ms: number,
  { vault_token = null, seed = null }: OwnParts = {},
): string {
  const { headers, body } = seal(SUBJECT, Buffer.from(JSON.stringify(claims)), signer, now_ms);
  const parts = ["mj1", url(body), url(JSON.stringify(headers))];
  if (vault_token !== null || seed !== null)
    parts.push(vault_token === null ? "" : url(parse(WrappedToken, vault_token, "wrapped token")));
  if (seed !== null) parts.push(seed);
  return parts.join(".");
}

/** What of a join string goes to a controller, and what the machine keeps to itself. Errors: JOIN_FORGED. */
export function splitJoinString(text: string): {
  join: string;
  vault_token: string | null;
  seed: string | null;
} {
  const parts = text.trim().split(".");
  const [token = "", seed = ""] = parts.slice(3);
  const read = WrappedToken.safeParse(Buffer.from(token, "base64url").toString());
  if (parts.length > 5 || (token !== "" && !read.success))
    throw new FleetError("JOIN_FORGED", "its fourth part is no token");
  if (seed !== "" && !Seed.safeParse(seed).success)
    throw new FleetError("JOIN_FORGED", "its fifth part is no key");
  return { join: parts.slice(0, 3).join("."), vault_token: read.data ?? null, seed: seed || null };
}

function envelopeOf(text: string): Envelope {
  const [version, body, headers, ...rest] = text.trim().split(".");
  if (version !== "mj1" || body === undefined || headers === undefined || rest.length > 0) {
    throw new FleetError("JOIN_FORGED", "it must begin with mj1. and have three parts");
  }
  return {
    headers: parseJson(JoinHeaders, Buffer.from(headers, "base64url"), "join string"),
    body: Buffer.from(body, "base64url"),
  };
}

/** What a join string says, unproved: enough for a machine to find its broker and check the anchor. Errors: JOIN_FORGED, INVALID. */
export function readJoinString(text: string): JoinClaims {
  return parseJson(JoinClaims, envelopeOf(splitJoinString(text).join).body, "join string");
}

/** Proves a join string of three parts. Errors: JOIN_FORGED (also when its signer may not), JOIN_EXPIRED. */
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

/** By whose word a host was let in under its name, so that anybody of the fleet can prove it: no controller has what signs this. */
export const Joined = z.strictObject({
  join: z.string().max(8_192).describe("The join string, without what only the machine saw."),
  signature: z.base64().max(128).describe("Of the machine's name and key, by the string's own key; base64."),
});
export type Joined = z.infer<typeof Joined>;

type JoinedAs = { readonly fleet: string; readonly name: string; readonly id: string };
const joinedText = ({ fleet, name, id }: JoinedAs) =>
  Buffer.from(`muster joined 1\n${fleet}\n${name}\n${id}`);

/** What a machine with the whole join string says of itself. TypeError for a seed that is damaged. */
export function signJoined(join: string, seed: string, as: JoinedAs): Joined {
  return { join, signature: signEd25519(nkeyFromSeed(seed).key, joinedText(as)).toString("base64") };
}

/**
 * Proves that this key is that of the machine which a person gave a join string for this name, or one for any name in a group of the host, and says who.
 * `groups` are those that the person who asks knows the host to be in. Errors: JOIN_FORGED.
 */
export function openJoined(
  { join, signature }: Joined,
  as: JoinedAs & { readonly groups: readonly string[] },
  verifier: Verifier,
): string {
  const envelope = envelopeOf(join);
  try {
    const { principal } = open(SUBJECT, envelope, verifier, "operator");
    const { fleet, name, groups, key } = parseJson(JoinClaims, envelope.body, "join string");
    const meant = name === undefined ? groups.some((group) => as.groups.includes(group)) : name === as.name;
    if (fleet !== as.fleet || !meant || key === undefined)
      throw new FleetError("JOIN_FORGED", `it is for ${name ?? groups.join(", ")} of fleet ${fleet}`);
    const by = publicKeyObject(decodePublic("user", key));
    if (!verify(null, joinedText(as), by, Buffer.from(signature, "base64")))
      throw new FleetError("JOIN_FORGED", "another machine than that of the join string");
    return principal.name;
  } catch (cause) {
    if (cause instanceof FleetError && cause.code !== "JOIN_FORGED")
      throw new FleetError("JOIN_FORGED", cause.message, { cause });
    throw cause;
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
