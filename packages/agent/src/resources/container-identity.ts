/**
 * What makes one container another: whatever Docker cannot change in one that is there. Two specs with the same identity need no other container.
 * Pure.
 */
import { contentHash, sha256 } from "@muster/protocol/canonical";
import type { Container, ImagePin } from "@muster/protocol/resources/container";
import type { ContainerFile } from "@muster/protocol/resources/container-parts";

/** On everything that Muster makes at Docker: what it is of. Nothing without it is touched. */
export const RESOURCE_LABEL = "muster.resource";
export const IDENTITY_LABEL = "muster.identity";
/** Name of the directory that holds its files. */
export const SLOT_LABEL = "muster.slot";
/** Its image in words, and its restart policy while that is switched off. */
export const IMAGE_LABEL = "muster.image";
export const RESTART_LABEL = "muster.restart";
/** On a network: ports are published here. */
export const PUBLIC_LABEL = "muster.public";

/** What it runs, how, and with `on_change: restart` from which files; tag, readiness and the like are only for whoever looks at it. */
export function identityOf(spec: Container): string {
  const { image, on_change, ready, files, ...rest } = spec;
  const held = on_change === "restart" ? filesOf(spec) : Object.keys(files).sort();
  // Defaults that come with a later version must not make every container another.
  const given = Object.entries({ ...rest, held }).filter(([, value]) => !isEmpty(value));
  return contentHash(Object.fromEntries(given) as never);
}

const isEmpty = (value: unknown) =>
  value === undefined ||
  value === false ||
  (typeof value === "object" && value !== null && Object.keys(value).length === 0);

export type FileState = { readonly sha256: string; readonly mode: string };

/** Path in the container → what stands there. */
export function filesOf({ files }: Pick<Container, "files">): Record<string, FileState> {
  const found: Record<string, FileState> = {};
  for (const [directory, inner] of Object.entries(files))
    for (const [path, file] of Object.entries(inner))
      found[`${directory}/${path}`] = { sha256: hashOf(file), mode: file.mode };
  return found;
}

const hashOf = (file: ContainerFile) => ("blob" in file ? file.blob.sha256 : sha256(file.content));

export const filesHash = (spec: Pick<Container, "files">): string => contentHash(filesOf(spec));

/** `prom/prometheus:v3.12.0@1a4f…`, for people. */
export const imageWords = ({ image, pin }: { image: string; pin: ImagePin }): string =>
  `${image}@${("digest" in pin ? pin.digest : pin.id).slice("sha256:".length).slice(0, 12)}`;

/** `registry:5000/a/b:1` → `registry:5000/a/b`. */
export const repositoryOf = (image: string): string => image.replace(/:[^:/]+$/, "");

/** How the engine finds the pinned image. */
export const pinReference = ({ image, pin }: { image: string; pin: ImagePin }): string =>
  "digest" in pin ? `${repositoryOf(image)}@${pin.digest}` : pin.id;
