/**
 * One container takes over from another. The new one is made beside the old, the old is stopped and kept as NAME.before, the new gets the name
 * and has to become ready; else it goes and the old one comes back. After a crash at any moment the same call goes on from what is there.
 */
import { createServer } from "node:net";
import { FleetError } from "@muster/protocol/errors";
import type { Container } from "@muster/protocol/resources/container";
import type { ContainerFacts } from "../ports/docker-facts.ts";
import type { Ports } from "../ports/index.ts";
import { attachOptions, changedLimits, createOptions, portOf, restartPolicy } from "./container-create.ts";
import { contentsOf, foldersOf, noteLoaded, slotOf, sweepSlots, writeSlot } from "./container-files.ts";
import {
  filesHash,
  IDENTITY_LABEL,
  IMAGE_LABEL,
  identityOf,
  imageWords,
  PUBLIC_LABEL,
  pinReference,
  RESOURCE_LABEL,
  RESTART_LABEL,
  SLOT_LABEL,
} from "./container-identity.ts";
import { keepPrevious, pruneImages } from "./container-images.ts";
import { untilReady } from "./container-ready.ts";
import type { Declared } from "./kind.ts";

type Resource = Declared<"container">;

export const keptName = (name: string) => `${name}.before`;
const nextName = (name: string) => `${name}.next`;
/** Going back is not stopped by an agent that stops. */
const BACK_LIMIT_MS = 120_000;

/** Makes it, in the place of the one there is if any. Errors: UNDONE when the old one is back, FAILED, the engine's. */
export async function takeOver(resource: Resource, ports: Ports, signal: AbortSignal): Promise<void> {
  const { name, spec } = resource;
  const { docker } = ports;
  const [now, kept] = await Promise.all([
    docker.container(name, signal),
    docker.container(keptName(name), signal),
  ]);
  for (const each of [now, kept]) requireOurs(each, name);
  const same = now?.labels[IDENTITY_LABEL] === identityOf(spec) && changedLimits(spec, now).length === 0;
  if (!same) {
    await makeNext(resource, now, ports, signal);
    if (now !== null && kept !== null) await docker.remove(name, signal);
    else if (now !== null) {
      await docker.setRestart(name, { name: "no", retries: 0 }, signal);
      await docker.stop(name, signal);
      await docker.rename(name, keptName(name), signal);
    }
    await docker.rename(nextName(name), name, signal);
  }
  await conclude(resource, ports, signal);
}

/** Starts it and waits; then the kept one goes, or comes back. */
export async function conclude(resource: Resource, ports: Ports, signal: AbortSignal): Promise<void> {
  const { name, spec } = resource;
  const { docker, files } = ports;
  const why = (await startWords(name, ports, signal)) ?? (await untilReady(name, spec, docker, signal));
  const [now, kept] = await Promise.all([
    docker.container(name, signal),
    docker.container(keptName(name), signal),
  ]);
  if (why !== null) {
    if (kept === null) throw new FleetError("FAILED", why);
    throw await goBack(resource, kept, why, ports, AbortSignal.timeout(BACK_LIMIT_MS));
  }
  if (now === null) throw new FleetError("FAILED", `${name} was removed while it started`);
  await noteLoaded(name, now.id, filesHash(spec), files);
  if (kept !== null) {
    if (kept.image_id !== now.image_id) await keepPrevious(name, kept.image_id, docker, signal);
    await docker.remove(keptName(name), signal);
  }
  await sweepSlots(name, now.labels[SLOT_LABEL] ?? "", files);
  await pruneImages(docker, signal);
}

async function goBack(
  { name, spec }: Resource,
  kept: ContainerFacts,
  why: string,
  ports: Ports,
  signal: AbortSignal,
): Promise<FleetError> {
  const { docker, files } = ports;
  await docker.remove(name, signal);
  await docker.rename(keptName(name), name, signal);
  await docker.setRestart(name, restartPolicy({ restart: kept.labels[RESTART_LABEL] ?? "no" }), signal);
  const again = await startWords(name, ports, signal);
  await sweepSlots(name, kept.labels[SLOT_LABEL] ?? "", files);
  const back =
    again === null
      ? `back to ${kept.labels[IMAGE_LABEL]}`
      : `back to the old one, which does not start: ${again}`;
  return new FleetError("UNDONE", `${imageWords(spec)}: ${why}; ${back}`);
}

/** Null when it started, else the engine's words. */
async function startWords(name: string, { docker }: Ports, signal: AbortSignal): Promise<string | null> {
  try {
    await docker.start(name, signal);
    return null;
  } catch (error) {
    if (error instanceof FleetError && error.code === "DOCKER_REFUSED") return error.detail;
    throw error;
  }
}

/** All that can go wrong before the old one is touched goes wrong here. */
async function makeNext(
  { name, spec }: Resource,
  now: ContainerFacts | null,
  { docker, files, blobs }: Ports,
  signal: AbortSignal,
): Promise<void> {
  const image = await docker.image(pinReference(spec), signal);
  if (image === null) throw new FleetError("NOT_FOUND", `the image ${imageWords(spec)} is not on this host`);
  const open = await openNetworks(name, spec, docker, signal);
  await requireFreePorts(spec, now?.status === "running" ? now.ports : []);
  const slot = slotOf(spec);
  await writeSlot(name, slot, spec, contentsOf(spec, blobs), files);
  requireOurs(await docker.container(nextName(name), signal), name);
  await docker.remove(nextName(name), signal);
  const folders = foldersOf(name, slot, spec, files);
  await docker.create(
    nextName(name),
    createOptions({ name, spec, image_id: image.id, slot, folders, open }),
    signal,
  );
  for (const network of Object.keys(spec.networks).slice(1))
    await docker.attach(network, nextName(name), attachOptions(spec, network, open), signal);
}

/** Of its networks those that are public. Errors: FAILED when it publishes ports and is on none. */
export async function openNetworks(
  name: string,
  spec: Container,
  docker: Ports["docker"],
  signal: AbortSignal,
): Promise<Set<string>> {
  const names = Object.keys(spec.networks);
  const found = await Promise.all(names.map((each) => docker.network(each, signal)));
  const open = new Set(names.filter((_, at) => found[at]?.labels[PUBLIC_LABEL] === "true"));
  if (spec.ports.length > 0 && open.size === 0) throw new FleetError("FAILED", closedWords(name, names));
  return open;
}

export const closedWords = (name: string, networks: readonly string[]) =>
  `container/${name} publishes ports, and none of its networks (${networks.join(", ")}) has public: true`;

/** Docker itself would only say so after the old one is stopped. */
async function requireFreePorts(spec: Container, held: readonly string[]): Promise<void> {
  for (const text of spec.ports) {
    const { ip, host, inner } = portOf(text);
    if (held.includes(`${ip}:${host}/${inner.endsWith("udp") ? "udp" : "tcp"}`) || inner.endsWith("/udp"))
      continue;
    const taken = await portTaken(ip === "" ? "0.0.0.0" : ip, Number(host));
    if (taken !== null)
      throw new FleetError(
        "FAILED",
        `port ${host} cannot be published: ${taken}; see: ss -ltnp 'sport = :${host}'`,
      );
  }
}

function portTaken(host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error) => resolve(error.message));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(null)));
  });
}

/** Errors: CONFLICT for a container that somebody else made. */
export function requireOurs(facts: ContainerFacts | null, name: string): void {
  if (facts === null || facts.labels[RESOURCE_LABEL] === `container/${name}`) return;
  throw new FleetError("CONFLICT", notOurs(name));
}

export const notOurs = (name: string) =>
  `a container ${name} is there that Muster did not make: rename or remove it (docker rename ${name} …)`;
