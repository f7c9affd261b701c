/**
 * The manifest: one host's whole desired state, signed by an operator on `desired.<id>` at its `signed_at` (the envelope's time).
 * The content hash covers what the host should be, not the number under which it was ordered: a host whose content does not change gets no new manifest.
 */
import { z } from "zod";
import { alike } from "./alike.ts";
import { contentHash } from "./canonical.ts";
import type { Principal } from "./certificate.ts";
import { type Envelope, open, type Verifier } from "./envelope.ts";
import { FleetError, parse, parseJson } from "./errors.ts";
import { FleetName, GroupName, HostId, HostName, Instant, RandomId, ResourceRef, Sha256 } from "./names.ts";
import { Resource, refOf } from "./resources/index.ts";
import { subjects } from "./subjects.ts";
import { SwitchDeclaration } from "./switch.ts";

/** The largest manifest, in bytes of JSON: it must fit into one NATS message of 1 MiB with its headers. */
export const MANIFEST_BYTES = 960 * 1024;

export const ManifestContent = z.strictObject({
  groups: z
    .array(GroupName)
    .max(256)
    .describe("For `rpc.all`: the agent judges a request's filter by these."),
  labels: z.record(z.string().max(63), z.string().max(255)).describe("Variables to select by."),
  resources: z.array(Resource).max(5_000).describe("In dependency order."),
  switches: z.array(SwitchDeclaration).max(16).describe("What may be changed without a new manifest."),
});
export type ManifestContent = z.infer<typeof ManifestContent>;

/** What the operator said beside the content. */
export const Intent = z.strictObject({
  message: z.string().max(500).describe("Why, in the person's words."),
  plan_index: Sha256.nullable().describe(
    "The plan that was shown: the host refuses when it would now do something else. Null for a host that was silent.",
  ),
  overwrite: z.array(ResourceRef).max(256).describe("Hand edits that may be overwritten."),
  force: z.boolean().describe("An empty or drastically smaller manifest is meant."),
  within_ms: z
    .int()
    .min(1_000)
    .max(3_600_000)
    .nullable()
    .describe("The guard's window; null = as the plan says."),
});
export type Intent = z.infer<typeof Intent>;

export const Manifest = z.strictObject({
  v: z.literal(1),
  fleet: FleetName,
  host: HostName,
  id: HostId,
  generation: z.int().min(1),
  release: z.strictObject({
    id: RandomId,
    return_to: Sha256.nullable().describe("Content to which a controller may send this host back."),
    previous: RandomId.optional().describe(
      "The rollout that brought the manifest before this one: `release.<previous>.<id>` holds it, signed, for a rollback. Absent for the first.",
    ),
    not_after: Instant.describe("Until when."),
  }),
  content: ManifestContent,
  content_hash: Sha256,
  intent: Intent,
  rolled_back: z
    .record(ResourceRef, Sha256)
    .describe(
      "Resources held at older content until the folder differs from this (hash of the spec that failed).",
    ),
});
export type Manifest = z.infer<typeof Manifest>;

/** The hash that names a content. */
export const hashOfContent = (content: ManifestContent) => contentHash(content);

export type OpenedManifest = {
  readonly manifest: Manifest;
  readonly principal: Principal;
  readonly by: string;
  readonly kit: boolean;
  readonly signed_at_ms: number;
};

/** A content as it was read, the hash that it really has, and a resource that stands in it twice. */
type ReadContent = {
  readonly content: ManifestContent;
  readonly hash: string;
  readonly twice: ResourceRef | undefined;
};

/** What the bytes of a manifest say. Errors: INVALID. */
type ReadManifest = (body: Uint8Array) => Omit<ReadContent, "content"> & { readonly manifest: Manifest };

const twiceIn = ({ resources }: ManifestContent): ResourceRef | undefined => {
  const refs = resources.map(refOf);
  return refs.find((ref, index) => refs.indexOf(ref) !== index);
};

const readManifest: ReadManifest = (body) => {
  const manifest = parseJson(Manifest, body, "manifest");
  return { manifest, hash: hashOfContent(manifest.content), twice: twiceIn(manifest.content) };
};

const readContent = (value: unknown): ReadContent => {
  const content = parse(ManifestContent, value, "manifest");
  return { content, hash: hashOfContent(content), twice: twiceIn(content) };
};

function readerBy(contentOf: (value: unknown, content_hash: string) => ReadContent): ReadManifest {
  const Others = Manifest.extend({ content: z.unknown() });
  return (body) => {
    try {
      const others = parseJson(Others, body, "manifest");
      const { content, hash, twice } = contentOf(others.content, others.content_hash);
      return { manifest: { ...others, content }, hash, twice };
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      // The error is to name all that is wrong.
      return readManifest(body);
    }
  };
}

/** For many: hosts with the same content share it, and it is read and hashed once. */
export function manifestsReader(): ReadManifest {
  const contentOf = alike(readContent);
  return readerBy((value) => contentOf(value));
}

/**
 * For who was shown that content before its manifest comes: what has the same hash is the same, and need not be read again.
 * @param known what was read and hashed before under this hash; null for most
 */
export const manifestReader = (known: (content_hash: string) => ManifestContent | null): ReadManifest =>
  readerBy((value, content_hash) => {
    const content = known(content_hash);
    if (content === null || contentHash(value) !== content_hash) return readContent(value);
    return { content, hash: content_hash, twice: twiceIn(content) };
  });

/**
 * Opens a manifest as of the time at which it was signed: signature, rank, target, and that content and hash agree, with no resource twice.
 * Whether it is newer than what the host holds is the ledger's to say.
 * @param read `manifestsReader()` where many are opened, `manifestReader(known)` where the content may be known
 * Errors: as `open`, and TOO_LARGE, INVALID, WRONG_TARGET, ALTERED.
 */
export function openManifest(
  envelope: Envelope,
  target: { fleet: string; id: string },
  verifier: Verifier,
  read: ReadManifest = readManifest,
): OpenedManifest {
  if (envelope.body.length > MANIFEST_BYTES)
    throw new FleetError("TOO_LARGE", `manifest of ${envelope.body.length} bytes`);
  const opened = open(subjects.desired(target.id), envelope, verifier, "operator", { signs_release: true });
  const { manifest, hash, twice } = read(envelope.body);
  if (manifest.id !== target.id || manifest.fleet !== target.fleet)
    throw new FleetError("WRONG_TARGET", `meant for ${manifest.host} of ${manifest.fleet}`);
  if (hash !== manifest.content_hash) throw new FleetError("ALTERED", `generation ${manifest.generation}`);
  if (twice !== undefined) throw new FleetError("INVALID", `manifest: ${twice} stands in it twice`);
  return {
    manifest,
    principal: opened.principal,
    by: opened.principal.name,
    kit: opened.principal.kit,
    signed_at_ms: opened.signed_at_ms,
  };
}
