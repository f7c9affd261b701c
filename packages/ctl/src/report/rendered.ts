/** The rendered folder as files for the eye: what stands where on which host. Pure. */
import type { Resource } from "@muster/protocol/resources/index";
import type { CompiledHost } from "../inventory/fleet.ts";

/** One text that will stand on a host, under its path there. */
export type RenderedFile = {
  readonly host: string;
  readonly ref: string;
  readonly path: string;
  readonly content: string;
};

/** Where BIRD's text comes to stand. */
const BIRD_PATH = "/etc/bird/bird.conf";

/** Every file of the hosts, by host and then in dependency order; other resources are told by `otherLines`. */
export function renderedFiles(compiled: readonly CompiledHost[]): RenderedFile[] {
  return compiled.flatMap(({ host, resources }) =>
    resources.flatMap((resource): RenderedFile[] => {
      const text = textOf(resource);
      return text === null ? [] : [{ host, ref: `${resource.kind}/${resource.name}`, ...text }];
    }),
  );
}

function textOf(resource: Resource): { path: string; content: string } | null {
  if (resource.kind === "file") return { path: resource.name, content: resource.spec.content };
  return resource.kind === "bird" ? { path: BIRD_PATH, content: resource.spec.config } : null;
}

/** `sysctl/net.ipv6.conf.all.forwarding  {"value":"1"}`: what is no text, a line each. */
export function otherLines(compiled: CompiledHost): string[] {
  return compiled.resources
    .filter((resource) => textOf(resource) === null)
    .map((resource) => `${resource.kind}/${resource.name}  ${JSON.stringify(resource.spec)}`);
}
