/**
 * The trust bundle: which CAs, admin keys and on-node policy a host believes, and who was revoked. Signed by an admin; its version only rises.
 * The first one must fit the anchor that came with the join string; every later one is signed under the one held.
 *
 * The anchor is 160 bits of SHA-256 over the broker CA's certificate, and that certificate's subject (OU) holds the hash of the operators'
 * CA and the admin keys: so one comparison with what TLS showed proves all three. Written in base32 in groups of four.
 */
import { createHash, X509Certificate } from "node:crypto";
import { z } from "zod";
import { canonicalize } from "./canonical.ts";
import { CertificateReader, type Principal } from "./certificate.ts";
import {
  type Envelope,
  type EnvelopeSigner,
  HEADER,
  loadEnvelope,
  open,
  openByAdminKey,
  StoredEnvelope,
  seal,
  storeEnvelope,
  type Verifier,
} from "./envelope.ts";
import { FleetError, parseJson } from "./errors.ts";
import { FleetName, Instant } from "./names.ts";
import { base32 } from "./nkey.ts";
import { subjects } from "./subjects.ts";

const Pem = z.string().max(8_192).startsWith("-----BEGIN CERTIFICATE-----");
const SshKey = z
  .string()
  .max(2_048)
  .regex(/^(ssh|ecdsa)-[a-z0-9-]+ [A-Za-z0-9+/=]+/, "must be an OpenSSH public key");

/** Each takes some 4 KiB of every bundle. */
const STEPS = 64;

/** What of a bundle the anchor covers. */
export const AnchoredKeys = z.strictObject({
  operators_ca: z.array(Pem).min(1).max(4),
  admin_keys: z.array(z.base64().length(44)).min(1).max(8).describe("Raw Ed25519 public keys, base64."),
});
export type AnchoredKeys = z.infer<typeof AnchoredKeys>;

/** Admins make the policy, and may be limited by name. */
export const LIMITED_RANKS = ["viewer", "operator", "ci"] as const;
const Limits = z.strictObject({
  groups: z.array(z.string()).optional(),
  kinds: z.array(z.string()).optional(),
  verbs: z
    .array(z.string())
    .optional()
    .describe("Methods beyond reading, such as exec and switch; `apply` to sign what a host is to be."),
});
/** Only hosts of these groups, only changes of these kinds, only these methods; what is left out is open. */
export type Limits = z.infer<typeof Limits>;

/** What the controller alone may order, and what needs an operator, judged on the host. */
export const NodePolicy = z.strictObject({
  controller_may: z
    .array(z.enum(["ping", "facts", "health", "bgp", "reconcile", "return"]))
    .default(["ping", "facts", "health", "bgp", "reconcile", "return"]),
  operators: z
    .record(z.string(), Limits)
    .default({})
    .describe(
      "Limits by person: only hosts of these groups, only changes of these kinds, only these methods. Who has any leaves groups and switches of hosts as they are.",
    ),
  // Absent where there are none: hosts of an older release take no bundle with it.
  ranks: z
    .partialRecord(z.enum(LIMITED_RANKS), Limits)
    .optional()
    .describe("The same for everybody of a rank, beside the limits of the person."),
});
export type NodePolicy = z.infer<typeof NodePolicy>;

/** What limits a person: what is said of the person and what of the rank. All have to hold. */
export function limitsOf(
  policy: NodePolicy,
  { name, rank }: Pick<Principal, "name" | "rank">,
): { readonly who: string; readonly limits: Limits }[] {
  const of_person = policy.operators[name];
  const limited = LIMITED_RANKS.find((each) => each === rank);
  const of_rank = limited === undefined ? undefined : policy.ranks?.[limited];
  return [
    ...(of_person === undefined ? [] : [{ who: name, limits: of_person }]),
    ...(of_rank === undefined ? [] : [{ who: `the rank ${rank}`, limits: of_rank }]),
  ];
}

export const TrustBundle = z.strictObject({
  v: z.literal(1),
  fleet: FleetName,
  version: z.int().min(1),
  issued_at: Instant,
  ...AnchoredKeys.shape,
  broker_ca: z.array(Pem).min(1).max(4),
  controllers_ca: z.array(Pem).min(1).max(4),
  services_ca: z.array(Pem).min(1).max(4),
  identity_ca: z.array(Pem).max(4),
  vault_ca: z.array(Pem).max(4).describe("Whom to believe at `vault`."),
  vault: z.array(z.url()).max(16).describe("Addresses of Vault, https."),
  brokers: z.array(z.string().max(270)).min(1).max(16).describe("Addresses of the brokers, host:port."),
  ssh_host_ca: z.array(SshKey).min(1).max(4),
  ssh_user_ca: z.array(SshKey).max(4),
  voided: z
    .array(
      z.strictObject({
        fingerprint: z.string().optional().describe("SHA-256 of one certificate."),
        name: z.string().optional().describe("Everything of this person."),
        since: Instant.describe("What was signed from then on is void."),
        until: Instant.optional().describe(
          "Certificates issued from then on count again: the person was taken up anew.",
        ),
      }),
    )
    .max(10_000),
  ssh_krl: z.base64().max(1_048_576).nullable().describe("OpenSSH key revocation list."),
  policy: NodePolicy,
  succession: z
    .array(StoredEnvelope)
    .max(STEPS)
    .optional()
    .describe(
      "How the anchored keys became what they are, oldest first: each step is signed under the keys before it. Absent while they are the first.",
    ),
});
export type TrustBundle = z.infer<typeof TrustBundle>;

/** One change of the anchored keys. The bundle of that version is signed under those before, every later one under those after. */
const Step = z.strictObject({
  v: z.literal(1),
  fleet: FleetName,
  version: z.int().min(2),
  from: AnchoredKeys,
  to: AnchoredKeys,
});
type Step = z.infer<typeof Step>;
/** What a step is signed as: nothing travels on it. */
const STEP_SUBJECT = "trust.succession";

const group = (text: string) => text.match(/.{1,4}/g)?.join("-") ?? "";
const hash160 = (data: Uint8Array | string) =>
  base32(createHash("sha256").update(data).digest().subarray(0, 20));

/** The OU that the broker CA's subject must hold for these keys. */
export function anchoredKeysHash(keys: AnchoredKeys): string {
  const operators_ca = keys.operators_ca.map((pem) => new X509Certificate(pem).fingerprint256);
  return hash160(canonicalize({ operators_ca, admin_keys: keys.admin_keys }));
}

/** The anchor of a broker CA (PEM or DER): `7F3K-9QXM-…`, eight groups of four. */
export function anchorOf(ca: string | Buffer): string {
  return group(hash160(new X509Certificate(ca).raw));
}

/** Whether two anchors are the same, however they are grouped or capitalised. */
export const sameAnchor = (one: string, other: string) =>
  one.replaceAll("-", "").toUpperCase() === other.replaceAll("-", "").toUpperCase();

/** Vault dates certificates back by so much, for clocks that are late. */
const BACKDATED_MS = 120_000;

/** A verifier for envelopes by what the bundle says. */
export function verifierOf(bundle: TrustBundle): Verifier {
  const certificates = new CertificateReader({
    operators: bundle.operators_ca,
    controllers: bundle.controllers_ca,
  });
  const voided = (principal: Principal, at_ms: number) =>
    bundle.voided.some(
      (entry) =>
        at_ms >= entry.since &&
        (entry.until === undefined || principal.not_before_ms + BACKDATED_MS < entry.until) &&
        (entry.fingerprint === principal.fingerprint || entry.name === principal.name),
    );
  return { certificates, voided };
}

/**
 * Opens the first bundle under an anchor. `tls_ca` is the root that the broker showed in TLS.
 * Errors: WRONG_ANCHOR when root, keys or fleet do not fit; INVALID, BAD_SIGNATURE as usual.
 */
export function openFirstBundle(envelope: Envelope, anchor: string, tls_ca: Buffer | string): TrustBundle {
  const root = new X509Certificate(tls_ca);
  if (!sameAnchor(anchorOf(root.raw), anchor))
    throw new FleetError("WRONG_ANCHOR", `the broker's is ${anchorOf(root.raw)}`);
  const bundle = parseJson(TrustBundle, envelope.body, "trust bundle");
  const units = root.subject.split("\n");
  const keys = signersOf(bundle, bundle, (hash) => units.includes(`OU=${hash}`));
  if (keys === null)
    throw new FleetError(
      "WRONG_ANCHOR",
      "the trust bundle names other operators or admins than the broker's CA",
    );
  openSignedBy(envelope, { ...bundle, ...keys });
  return bundle;
}

/**
 * The keys under which a bundle has to be signed, where its own are those that the reader begins with, or have followed from them; else null.
 * Errors: of a step that does not hold, as a signature.
 */
function signersOf(
  bundle: TrustBundle,
  believed: TrustBundle,
  begins: (hash: string) => boolean,
): AnchoredKeys | null {
  const { voided } = verifierOf(believed);
  let last: Step | null = null;
  for (const stored of bundle.succession ?? []) {
    const envelope = loadEnvelope(stored);
    const step = parseJson(Step, envelope.body, "succession of keys");
    const from = anchoredKeysHash(step.from);
    // What was before the reader's time is nothing to him.
    if (last === null && !begins(from)) continue;
    const follows: boolean =
      last === null || (from === anchoredKeysHash(last.to) && step.version > last.version);
    if (!follows || step.fleet !== bundle.fleet || step.version > bundle.version) return null;
    const certificates = new CertificateReader({ operators: step.from.operators_ca, controllers: [] });
    if (envelope.headers[HEADER.key] !== undefined)
      openByAdminKey(STEP_SUBJECT, envelope, step.from.admin_keys);
    else open(STEP_SUBJECT, envelope, { certificates, voided }, "admin");
    last = step;
  }
  const now = anchoredKeysHash(bundle);
  if (last === null ? !begins(now) : now !== anchoredKeysHash(last.to)) return null;
  const { operators_ca, admin_keys } = last?.version === bundle.version ? last.from : bundle;
  return { operators_ca, admin_keys };
}

/** The next bundle, with the step by which its keys follow from those held, where they are others. Errors: TOO_LARGE after 64 such changes. */
export function succeeding(
  held: TrustBundle,
  next: TrustBundle,
  signer: EnvelopeSigner,
  now_ms: number,
): TrustBundle {
  const { operators_ca, admin_keys, succession = [] } = held;
  const from = { operators_ca, admin_keys };
  const to = { operators_ca: next.operators_ca, admin_keys: next.admin_keys };
  const { succession: _before, ...rest } = next;
  if (anchoredKeysHash(from) === anchoredKeysHash(to))
    return succession.length === 0 ? rest : { ...rest, succession };
  if (succession.length >= STEPS)
    throw new FleetError("TOO_LARGE", `the keys of ${held.fleet} changed ${STEPS} times`);
  const step: Step = { v: 1, fleet: next.fleet, version: next.version, from, to };
  const signed = storeEnvelope(seal(STEP_SUBJECT, Buffer.from(JSON.stringify(step)), signer, now_ms));
  return { ...rest, succession: [...succession, signed] };
}

/**
 * Opens a later bundle under the one held; null when it is not newer.
 * Errors: INVALID, BAD_SIGNATURE, NOT_ALLOWED, BAD_CERTIFICATE, VOIDED.
 */
export function openNextBundle(envelope: Envelope, held: TrustBundle): TrustBundle | null {
  const bundle = parseJson(TrustBundle, envelope.body, "trust bundle");
  if (bundle.version <= held.version) return null;
  if (bundle.fleet !== held.fleet) throw new FleetError("WRONG_TARGET", `a trust bundle of ${bundle.fleet}`);
  const own = anchoredKeysHash(held);
  openSignedBy(envelope, { ...held, ...signersOf(bundle, held, (hash) => hash === own) });
  return bundle;
}

function openSignedBy(envelope: Envelope, held: TrustBundle): void {
  if (envelope.headers[HEADER.key] !== undefined) openByAdminKey(subjects.trust(), envelope, held.admin_keys);
  else open(subjects.trust(), envelope, verifierOf(held), "admin");
}
