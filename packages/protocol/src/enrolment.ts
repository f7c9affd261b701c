/**
 * Enrolment: all that a machine without credentials can ask of a controller, on `enrol.<method>`. Replies land in an inbox that every
 * enrollee can read, so each is sealed to the curve key in the request (`nacl box` in the xkey form of NATS) and bound to its nonce.
 *
 *     machine → enrol.hello   curve key                       ← sealed: controller's nonce, trust bundle
 *     machine → enrol.join    Claim + proofs over the nonce   ← sealed: Admission | pending | error
 *     person  → enrol.access  curve key, signed Access        ← sealed: bus JWT
 *     page    → enrol.page    curve key, ticket, public nkey  ← sealed: bus JWT
 *
 * Opening the sealed nonce proves the curve key; the other three keys sign `proofText`.
 */
import { z } from "zod";
import { contentHash } from "./canonical.ts";
import { StoredEnvelope } from "./envelope.ts";
import { ErrorReply } from "./errors.ts";
import { FleetName, HostId, HostName, Instant, PersonName, RandomId } from "./names.ts";

export const CurveKey = z.string().regex(/^X[A-Z2-7]{55}$/, "must be a public curve nkey");
const Pem = z.string().max(16_384).startsWith("-----BEGIN ");
const SshPublicKey = z
  .string()
  .max(1_024)
  .regex(/^ssh-ed25519 [A-Za-z0-9+/=]+( [^\n]*)?$/, "must be an ssh-ed25519 public key");
const SshCertificate = z
  .string()
  .max(8_192)
  .regex(/^ssh-ed25519-cert-v01@openssh\.com [A-Za-z0-9+/=]+/, "must be an OpenSSH certificate");

export const HelloRequest = z.strictObject({ v: z.literal(1), curve: CurveKey });
export type HelloRequest = z.infer<typeof HelloRequest>;

export const HelloReply = z.strictObject({ nonce: RandomId, time: Instant, bundle: StoredEnvelope });
export type HelloReply = z.infer<typeof HelloReply>;

/** A word that changes with each renewal: what the host was given last, and what it will be given now. By it a copy of its state shows. */
export const Mark = z.strictObject({ held: RandomId.nullable(), next: RandomId });
export type Mark = z.infer<typeof Mark>;

/** What a machine says of itself; the facts help a person decide, and prove nothing. */
export const Claim = z.strictObject({
  v: z.literal(1),
  nonce: RandomId,
  join: z.string().max(8_192).optional().describe("Without it the request waits for an operator."),
  name: HostName,
  id: HostId.describe("Public user nkey made on the machine."),
  curve: CurveKey,
  ssh_public_key: SshPublicKey,
  csr: Pem.describe("PKCS#10 request of the service TLS key."),
  mark: Mark.optional(),
  facts: z.strictObject({
    hostname: z.string().max(255),
    os: z.string().max(255),
    kernel: z.string().max(255),
    agent_version: z.string().max(64),
    addresses: z.array(z.string().max(64)).max(32),
  }),
});
export type Claim = z.infer<typeof Claim>;

/** Signatures over `proofText`, base64: Ed25519 by the nkey and the ssh host key, the TLS key's own (ECDSA with SHA-256 for P-256). */
export const JoinRequest = z.strictObject({
  claim: Claim,
  proofs: z.strictObject({ id: z.base64().max(256), ssh: z.base64().max(256), tls: z.base64().max(512) }),
});
export type JoinRequest = z.infer<typeof JoinRequest>;

/** The bytes that the keys sign: no NATS nonce can look like it (it has spaces). */
export const proofText = (claim: Claim) =>
  Buffer.from(`muster enrolment 1\n${claim.nonce}\n${contentHash(claim)}`);

/** The certificates of a host; `renew` answers the same. */
export const Credentials = z.strictObject({
  user_jwt: z.string().max(8_192),
  service_certificate: Pem.describe("Leaf and chain."),
  ssh_certificate: SshCertificate,
});
export type Credentials = z.infer<typeof Credentials>;

export const JoinReply = z.discriminatedUnion("status", [
  z.strictObject({
    status: z.literal("admitted"),
    nonce: RandomId,
    name: HostName,
    credentials: Credentials,
    bundle: StoredEnvelope,
  }),
  z.strictObject({
    status: z.literal("pending"),
    nonce: RandomId,
    fingerprint: z.string(),
    retry_ms: z.int(),
  }),
  z.strictObject({ status: z.literal("refused"), nonce: RandomId.nullable(), error: ErrorReply }),
]);
export type JoinReply = z.infer<typeof JoinReply>;

/** A person's bus access: the signed body, and the answer. */
export const AccessRequest = z.strictObject({ v: z.literal(1), curve: CurveKey, access: StoredEnvelope });
export const Access = z.strictObject({
  id: HostId.describe("Public user nkey made on the person's machine."),
});
export type Access = z.infer<typeof Access>;
export const AccessReply = z.discriminatedUnion("status", [
  z.strictObject({
    status: z.literal("granted"),
    user_jwt: z.string().max(8_192),
    expires: Instant,
    bundle: StoredEnvelope,
  }),
  z.strictObject({ status: z.literal("refused"), error: ErrorReply }),
]);
export type AccessReply = z.infer<typeof AccessReply>;

/** `enrol.page`: a web page uses its person's ticket up, for a key that was made in the page. */
export const PageRequest = z.strictObject({
  v: z.literal(1),
  curve: CurveKey,
  ticket: z
    .string()
    .regex(/^[A-Za-z0-9_-]{43}$/)
    .describe("32 random bytes, base64url."),
  id: HostId.describe("Public user nkey made in the page."),
});
export type PageRequest = z.infer<typeof PageRequest>;
export const PageReply = z.discriminatedUnion("status", [
  z.strictObject({
    status: z.literal("granted"),
    user_jwt: z.string().max(8_192),
    expires: Instant,
    fleet: FleetName,
    person: PersonName.describe("Who asked for the ticket."),
    rank: z.enum(["viewer", "operator", "admin"]).describe("What that person is."),
  }),
  z.strictObject({ status: z.literal("refused"), error: ErrorReply }),
]);
export type PageReply = z.infer<typeof PageReply>;

/** How a sealed reply looks on the wire. */
export const SealedReply = z.strictObject({ from: CurveKey, box: z.base64().max(1_400_000) });
export type SealedReply = z.infer<typeof SealedReply>;

/** `host.<id>.renew`: an enrolled host's fresh credentials, over the bus. */
export const RenewRequest = z.strictObject({
  v: z.literal(1),
  what: z.array(z.enum(["user_jwt", "service_certificate", "ssh_certificate"])).min(1),
  csr: Pem.optional(),
  ssh_public_key: SshPublicKey.optional(),
  mark: Mark.optional(),
});
export type RenewRequest = z.infer<typeof RenewRequest>;
export const RenewReply = Credentials.partial();
export type RenewReply = z.infer<typeof RenewReply>;
