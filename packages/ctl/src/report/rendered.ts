/** The rendered folder as files for the eye: what stands where on which host. Pure. */
import type { BlobRef } from "@muster/protocol/blob";
import { sha256 } from "@muster/protocol/canonical";
import type { Resource } from "@muster/protocol/resources/index";
import type { CompiledHost } from "../inventory/fleet.ts";

/** One text that will stand on a host, under its path there. */
export type RenderedFile = {
  readonly host: string;
  readonly ref: string;
  readonly path: string;
  /** Null for what is not in the folder, such as an earlier one's. */
  readonly content: string | Uint8Array | null;
};

/** Where BIRD's text comes to stand. */
const BIRD_PATH = "/etc/bird/bird.conf";

/** Every file of the hosts, by host and then in dependency order; other resources are told by `otherLines`. */
export function renderedFiles(
  compiled: readonly CompiledHost[],
  contents: ReadonlyMap<string, Uint8Array>,
): RenderedFile[] {
  return compiled.flatMap(({ host, resources }) =>
    resources.flatMap((resource) =>
      filesOf(resource, contents).map((file) => ({
        host,
        ref: `${resource.kind}/${resource.name}`,
        ...file,
      })),
    ),
  );
}

type File = Pick<RenderedFile, "path" | "content">;

/** A container's files stand below `/containers/<name>`. */
function filesOf(resource: Resource, contents: ReadonlyMap<string, Uint8Array>): File[] {
  const whole = (file: { content?: string | undefined; blob?: BlobRef | undefined }) =>
    file.content ?? (file.blob === undefined ? null : (contents.get(file.blob.sha256) ?? null));
  if (resource.kind === "file") return [{ path: resource.name, content: whole(resource.spec) }];
  if (resource.kind === "bird") return [{ path: BIRD_PATH, content: resource.spec.config }];
  if (resource.kind !== "container") return [];
  return Object.entries(resource.spec.files).flatMap(([directory, inner]) =>
    Object.entries(inner).map(([name, file]) => ({
      path: `/containers/${resource.name}${directory}/${name}`,
      content: whole(file),
    })),
  );
}

/** Content as lines for the eye: what goes by its hash is told, not printed. */
export function contentLine(content: RenderedFile["content"]): string {
  if (content === null) return "(not in the folder)";
  if (typeof content === "string") return content.replace(/\n$/, "");
  return `(${content.length} bytes, SHA-256 ${sha256(content).slice(0, 12)})`;
}

/** `sysctl/net.ipv6.conf.all.forwarding  {"value":"1"}`: what is no text, a line each. */
export function otherLines(compiled: CompiledHost): string[] {
  return compiled.resources
    .filter(({ kind }) => kind !== "file" && kind !== "bird")
    .map((resource) => `${resource.kind}/${resource.name}  ${JSON.stringify(resource.spec)}`);
}
