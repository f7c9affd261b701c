/**
 * Kind `file`: content, owner and mode of one file. Checked by its own command first, replaced by rename, services told afterwards. Content over
 * 16 KiB comes by its hash: planned by hash and size alone, so that a plan needs none of it, and shown as sizes instead of lines.
 */
import type { Step } from "@muster/protocol";
import { BLOB_BYTES, type BlobRef } from "@muster/protocol/blob";
import { sha256 } from "@muster/protocol/canonical";
import { FleetError } from "@muster/protocol/errors";
import { INLINE_CONTENT_BYTES } from "@muster/protocol/resources/file";
import { diffCounts, textDiff } from "../diff.ts";
import type { FileFacts } from "../ports/files.ts";
import type { Ports } from "../ports/index.ts";
import { attributeArgs, attributeChange, attributesOf, editWords, pick } from "./attributes.ts";
import type { ApplyContext, Declared, Reaction, ResourceKind } from "./kind.ts";
import { refuseProtected } from "./protected.ts";

export type ObservedFile = {
  readonly facts: FileFacts | null;
  /** Null when there is none, it is no file, is no text, or is larger than any that stands in a manifest. */
  readonly content: string | null;
  /** Of the bytes; null when there are none, or more than Muster writes. */
  readonly sha256: string | null;
};

const VALIDATE_LIMIT_MS = 30_000;

export const file: ResourceKind<"file", ObservedFile> = {
  async observe(resource, { files }, _signal, known) {
    await refuseProtected(resource.name, files);
    const looked = await files.look(resource.name, BLOB_BYTES);
    if (looked === null) return { facts: null, content: null, sha256: null };
    const { facts, sha256: hash } = looked;
    if (facts.type !== "file" || facts.size_bytes > INLINE_CONTENT_BYTES)
      return { facts, content: null, sha256: hash };
    // Nothing is read of a file that is as declared, or as Muster left it.
    for (const content of [resource.spec.content, known?.applied?.content])
      if (content !== undefined && hash === sha256(content)) return { facts, content, sha256: hash };
    if (known?.unseen === true && hash !== null) return { facts, content: null, sha256: hash };
    const bytes = looked.bytes ?? (await files.read(resource.name, INLINE_CONTENT_BYTES * 2));
    // It went away between the two questions.
    if (bytes === null) return { facts: null, content: null, sha256: null };
    return { facts, content: textOf(bytes), sha256: sha256(bytes) };
  },
  plan(resource, observed, { unseen }) {
    const { facts } = observed;
    const { spec, name } = resource;
    const wanted = attributesOf(spec);
    const hash = hashOf(spec);
    const ref = `file/${name}`;
    if (facts !== null && facts.type !== "file") {
      const what = facts.type === "other" ? "no regular file" : `a ${facts.type}`;
      return {
        steps: [],
        notes: [],
        unsupported: `${name} is there and is ${what}: remove it by hand first`,
      };
    }
    const change = facts === null ? "" : attributeChange(pick(facts), wanted);
    if (facts !== null && observed.sha256 === hash) {
      if (change === "") return { steps: [], notes: [] };
      const step: Step = {
        ref,
        action: "chmod",
        args: { path: name, ...wanted },
        why: change,
        reversible: true,
      };
      return { steps: [step], notes: [], reactions: reactionsOf(resource) };
    }
    const counts =
      unseen === true
        ? { why: "it differs", diff: "" }
        : contentChange(observed, spec.content ?? spec.blob, wanted.mode, name);
    const validate = spec.validate === undefined ? {} : { validate: [...spec.validate] };
    const step: Step = {
      ref,
      action: "write",
      args: {
        path: name,
        content_sha256: hash,
        ...wanted,
        ...validate,
        ...(facts === null ? { makes: true } : {}),
      },
      why: facts === null ? "it is not there" : `${counts.why}${change === "" ? "" : `; ${change}`}`,
      ...(counts.diff === "" ? {} : { diff: counts.diff }),
      reversible: true,
    };
    return { steps: [step], notes: [], reactions: reactionsOf(resource) };
  },
  removal(resource, observed, { made, unseen }) {
    if (observed.facts === null) return { steps: [] };
    if (!made) return { left: `${resource.name} was there before Muster wrote it` };
    if (observed.facts.type !== "file") return { left: `${resource.name} is now a ${observed.facts.type}` };
    const { mode } = attributesOf(resource.spec);
    const diff = unseen === true ? "" : contentChange(observed, "", mode, resource.name).diff;
    const step: Step = {
      ref: `file/${resource.name}`,
      action: "remove",
      args: { path: resource.name },
      why: "no longer declared",
      ...(diff === "" ? {} : { diff }),
      reversible: true,
    };
    return { steps: [step], reactions: reactionsOf(resource) };
  },
  async apply(step, ports, signal, context) {
    const path = String(step.args.path);
    await refuseProtected(path, ports.files);
    if (step.action === "write") await write(step, path, ports, signal, context);
    else if (step.action === "chmod") await ports.files.setAttributes(path, attributeArgs(step.args));
    else if (step.action === "remove") await ports.files.remove(path);
    else throw new FleetError("INVALID", `file has no step ${step.action}`);
  },
  together: {
    reach: "next",
    // A check may look at what was written before it; large contents need not lie on the disk twice, all at once.
    joins: ({ action, args }, resource) =>
      action === "write" && args.validate === undefined && resource?.spec.content !== undefined,
    apply: writeAll,
  },
  managed: (observed) =>
    observed.facts === null
      ? null
      : { type: observed.facts.type, sha256: observed.sha256, ...pick(observed.facts) },
  edit: (_resource, { facts }) => ({ what: editWords(facts), at_ms: facts?.changed_ms ?? null }),
  watch: (resource) => [resource.name],
};

async function write(
  step: Step,
  path: string,
  { files, run, blobs }: Ports,
  signal: AbortSignal,
  { resource }: ApplyContext<"file">,
): Promise<void> {
  const content = bytesOf(contentOf(step, resource), { blobs });
  const command = Array.isArray(step.args.validate) ? step.args.validate.map(String) : null;
  await files.replace(path, content, attributeArgs(step.args), async (candidate) => {
    if (command === null) return;
    const [program = "", ...args] = command.map((part) => part.replaceAll("%s", candidate));
    const result = await run(program, args, { timeout_ms: VALIDATE_LIMIT_MS }, signal);
    if (result.code === 0) return;
    const words = (result.stderr.trim() || result.stdout.trim()).replaceAll(candidate, path).slice(0, 1_000);
    throw new FleetError(
      "COMMAND_FAILED",
      `${path} is as before: ${command.join(" ")} ended with ${result.code}: ${words}`,
    );
  });
}

async function writeAll(
  steps: readonly Step[],
  ports: Ports,
  _signal: AbortSignal,
  declared: ReadonlyMap<string, Declared<"file">>,
): Promise<ReadonlyMap<string, FleetError>> {
  const failed = new Map<string, FleetError>();
  const ready = await Promise.all(
    steps.map(async (step) => {
      try {
        const path = String(step.args.path);
        await refuseProtected(path, ports.files);
        const content = bytesOf(contentOf(step, declared.get(step.ref) ?? null), ports);
        return [{ path, content, attributes: attributeArgs(step.args) }];
      } catch (error) {
        if (!(error instanceof FleetError)) throw error;
        failed.set(step.ref, error);
        return [];
      }
    }),
  );
  for (const [path, error] of await ports.files.replaceAll(ready.flat())) failed.set(`file/${path}`, error);
  return failed;
}

const bytesOf = (content: string | BlobRef, { blobs }: Pick<Ports, "blobs">) =>
  typeof content === "string" ? Buffer.from(content) : blobs.read(content);

/** Null when the bytes are no UTF-8. */
function textOf(bytes: Buffer): string | null {
  const text = bytes.toString("utf8");
  return Buffer.from(text).equals(bytes) ? text : null;
}

/** The declared content, or its name, when it is the one that was planned. Errors: ALTERED. */
export function contentOf(step: Step, resource: Declared<"file"> | null): string | BlobRef {
  const content = resource?.spec.content ?? resource?.spec.blob;
  if (content === undefined || resource === null || hashOf(resource.spec) !== step.args.content_sha256)
    throw new FleetError("ALTERED", `${step.ref}: its content is not the one that was planned`);
  return content;
}

const hashOf = ({ content, blob }: Declared<"file">["spec"]) => blob?.sha256 ?? sha256(content ?? "");

function reactionsOf(resource: Declared<"file">): Reaction[] {
  const { on_change } = resource.spec;
  if (on_change === undefined) return [];
  const [verb, target] =
    "reload" in on_change
      ? (["reload", on_change.reload] as const)
      : (["restart", on_change.restart] as const);
  return [{ verb, service: target.slice("service/".length), because: `file/${resource.name}` }];
}

/** What not everybody may read, before or after, is not shown: plans and events are read by many. */
function contentChange(
  observed: ObservedFile,
  content: string | BlobRef | undefined,
  mode: string,
  name: string,
): { why: string; diff: string } {
  const short = name.slice(name.lastIndexOf("/") + 1);
  const closed = (bits: string) => (Number.parseInt(bits, 8) & 0o004) === 0;
  if (closed(mode) || (observed.facts !== null && closed(observed.facts.mode)))
    return { why: `${short} differs (not shown: not everybody may read it)`, diff: "" };
  if (typeof content === "object")
    return {
      why: `${short} differs (${observed.facts?.size_bytes ?? 0} bytes, now ${content.size_bytes})`,
      diff: "",
    };
  if (observed.facts !== null && observed.content === null)
    return {
      why: `${short} differs (${observed.facts.size_bytes} bytes that are no text of this size)`,
      diff: "",
    };
  const diff = textDiff(observed.content ?? "", content ?? "");
  return { why: diffCounts(short, diff), diff: diff.text };
}
