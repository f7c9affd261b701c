/**
 * Images that Muster fetched, and for how long they stay: those of containers that are there, and the last one before for each container, so that
 * a rollback needs no registry. Tags of our own tell which they are; what anybody else brought or tagged is never removed.
 */
import { FleetError } from "@muster/protocol/errors";
import type { Docker } from "../ports/docker.ts";

/** `muster-fetched:<id>`: Muster fetched it. */
const FETCHED = "muster-fetched";
/** `muster-previous:<container>`: what it ran before. */
const PREVIOUS = "muster-previous";

/** Fetches the digest and remembers that it was us. */
export async function fetchImage(
  repository: string,
  digest: string,
  docker: Docker,
  signal: AbortSignal,
): Promise<void> {
  try {
    await docker.pull(repository, digest, signal);
  } catch (error) {
    throw error instanceof FleetError ? wantsLogin(error, repository, digest) : error;
  }
  const image = await docker.image(`${repository}@${digest}`, signal);
  if (image === null) throw new FleetError("FAILED", `${repository}@${digest} was fetched and is not there`);
  await docker.tag(image.id, FETCHED, image.id.slice("sha256:".length, 19), signal);
}

/** What registries and Docker say of an image that is not for everybody; a hidden one is "not there" to some. */
const CLOSED =
  /no basic auth|unauthorized|authentication required|access denied|denied:|may require 'docker login'/i;

/** The agent has no log-in at a registry, and must not seem to need another try only. */
function wantsLogin(error: FleetError, repository: string, digest: string): FleetError {
  if (error.code !== "DOCKER_REFUSED" || !CLOSED.test(error.detail)) return error;
  const registry = /^[^/]*[.:][^/]*\//.exec(repository)?.[0].slice(0, -1) ?? "docker.io";
  return new FleetError(
    "DOCKER_REFUSED",
    `the registry ${registry} wants a log-in for ${repository}, and hosts have none yet (they come with secrets): on the host, docker login ${registry} && docker pull ${repository}@${digest}; or take the image from a registry that is open to it. Docker says: ${error.detail}`,
    { cause: error },
  );
}

/** After a container took over: its predecessor's image is the one to go back to. */
export const keepPrevious = (container: string, image_id: string, docker: Docker, signal: AbortSignal) =>
  docker.tag(image_id, PREVIOUS, container, signal);

/** After a container is gone for good. */
export const forgetPrevious = (container: string, docker: Docker, signal: AbortSignal) =>
  docker.removeImage(`${PREVIOUS}:${container}`, signal);

/** Removes what Muster fetched and nothing needs. */
export async function pruneImages(docker: Docker, signal: AbortSignal): Promise<void> {
  const [fetched, previous, used] = await Promise.all([
    docker.images(FETCHED, signal),
    docker.images(PREVIOUS, signal),
    docker.imagesInUse(signal),
  ]);
  const needed = new Set([...used, ...previous.map(({ id }) => id)]);
  for (const image of fetched.filter(({ id }) => !needed.has(id))) {
    const whole = await docker.image(image.id, signal);
    const own = (whole?.tags ?? []).every((tag) => tag.startsWith(`${FETCHED}:`));
    for (const tag of own ? [image.id] : image.tags.filter((each) => each.startsWith(`${FETCHED}:`)))
      await docker.removeImage(tag, signal);
  }
}
