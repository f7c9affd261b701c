/**
 * Kind `container`: one Docker container. What Docker cannot change in one that is there is a replacement (`container-replace.ts`), in which the old
 * one is kept until the new one is ready; files that the container can take up while it runs are told to it by a signal or a command.
 */
import type { Step } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import type { Container } from "@muster/protocol/resources/container";
import type { ContainerFacts } from "../ports/docker-facts.ts";
import type { Files } from "../ports/files.ts";
import type { Ports } from "../ports/index.ts";
import { attachOptions } from "./container-create.ts";
import {
  contentsOf,
  keepSlot,
  noteLoaded,
  placeOf,
  readLoaded,
  readSlot,
  slotOf,
  sweepSlots,
  writeSlot,
} from "./container-files.ts";
import {
  filesHash,
  filesOf,
  identityOf,
  PUBLIC_LABEL,
  pinReference,
  RESOURCE_LABEL,
  SLOT_LABEL,
} from "./container-identity.ts";
import { fetchImage, forgetPrevious, pruneImages } from "./container-images.ts";
import { NO_ENGINE, type ObservedContainer, planContainer } from "./container-plan.ts";
import { ended, endedWell, lastWords, readiness, untilReady } from "./container-ready.ts";
import { conclude, keptName, openNetworks, requireOurs, takeOver } from "./container-replace.ts";
import type { ApplyContext, Declared, ResourceKind } from "./kind.ts";
import { refuseProtected } from "./protected.ts";

type Resource = Declared<"container">;

/** One that fell and came back within this time is not taken to be up. */
const LOOPING_MS = 20_000;

export const container: ResourceKind<"container", ObservedContainer> = {
  host_wide: true,
  in_docker: true,
  async observe({ name, spec }, ports, signal) {
    const { docker, files } = ports;
    await refuseSources(spec, files);
    const networks = Object.keys(spec.networks);
    if (!(await docker.present()))
      return { ...NOTHING, networks: Object.fromEntries(networks.map((each) => [each, null])) };
    const [now, kept, image, ...open] = await Promise.all([
      docker.container(name, signal),
      docker.container(keptName(name), signal),
      docker.image(pinReference(spec), signal),
      ...networks.map((each) => docker.network(each, signal)),
    ]);
    const slot = now?.labels[SLOT_LABEL];
    const loaded = now === null ? null : await readLoaded(name, now.id, files);
    return {
      engine: true,
      container: now,
      kept: kept !== null && kept.labels[RESOURCE_LABEL] === `container/${name}`,
      image: image !== null,
      networks: Object.fromEntries(
        networks.map((each, at) => [each, open[at] ? open[at].labels[PUBLIC_LABEL] === "true" : null]),
      ),
      files: slot === undefined ? {} : await readSlot(name, slot, spec, files),
      loaded,
      unwell: now === null ? null : await unwellWords(name, now, loaded === null, spec, ports, signal),
    };
  },
  plan: planContainer,
  removal({ name }, { engine, container: now, kept }) {
    if (!engine) return { left: NO_ENGINE };
    if (now === null && !kept) return { steps: [] };
    if (now !== null && now.labels[RESOURCE_LABEL] !== `container/${name}`)
      return { left: `the container ${name} there now was not made by Muster` };
    const step: Step = {
      ref: `container/${name}`,
      action: "remove",
      args: {},
      why: "no longer declared",
      effect: `stops ${name}; its volumes are kept`,
      reversible: true,
    };
    return { steps: [step] };
  },
  apply,
  managed({ container: now, files }) {
    if (now === null) return null;
    const { labels, status, limits, networks } = now;
    const on = Object.entries(networks).map(([name, { fixed_ipv4, fixed_ipv6 }]) => [
      name,
      fixed_ipv4,
      fixed_ipv6,
    ]);
    return { labels, running: status === "running" || status === "restarting", limits, on, files };
  },
  edit(_resource, { container: now }) {
    if (now === null) return { what: "removed outside of Muster", at_ms: null };
    if (now.status === "running") return { what: "changed outside of Muster", at_ms: null };
    if (now.status === "paused") return { what: now.status, at_ms: null };
    return { what: `${now.status} (${ended(now)})`, at_ms: now.finished_ms };
  },
  watch: ({ name, spec }) =>
    Object.keys(filesOf(spec)).map((path) => placeOf(name, slotOf(spec), spec, path)),
};

const NOTHING: ObservedContainer = {
  engine: false,
  container: null,
  kept: false,
  image: false,
  networks: {},
  files: {},
  loaded: null,
  unwell: null,
};

/** Of one that Docker starts again and again, whose health check fails, or that was never ready yet. No counts: what is told changes only when something changes. */
async function unwellWords(
  name: string,
  now: ContainerFacts,
  fresh: boolean,
  spec: Container,
  { docker, now: clock }: Ports,
  signal: AbortSignal,
): Promise<string | null> {
  if (now.health === "unhealthy") return `its health check fails: ${now.health_words || "no words"}`;
  if (endedWell(now, spec)) return null;
  const fell = now.restarts > 0 && now.started_ms !== null && clock() - now.started_ms < LOOPING_MS;
  if (now.status !== "restarting" && !fell) {
    const answer =
      fresh && now.status === "running" ? await readiness(name, spec, now, docker, signal) : null;
    return answer === null ? null : lastWords(name, `not ready yet: ${answer}`, docker, signal);
  }
  return lastWords(name, `does not stay up: ${ended(now)}`, docker, signal);
}

/** Docker follows links to what it mounts. */
async function refuseSources(spec: Container, files: Files): Promise<void> {
  const sources = spec.volumes
    .map((mount) => mount.split(":")[0] ?? "")
    .filter((each) => each.startsWith("/"));
  await Promise.all(sources.map((source) => refuseProtected(source, files, "follow")));
}

async function apply(
  step: Step,
  ports: Ports,
  signal: AbortSignal,
  { resource }: ApplyContext<"container">,
): Promise<void> {
  const name = step.ref.slice("container/".length);
  const { docker, files } = ports;
  if (step.action === "remove") {
    for (const each of [name, keptName(name)]) {
      const facts = await docker.container(each, signal);
      requireOurs(facts, name);
      if (facts === null) continue;
      await docker.stop(each, signal);
      await docker.remove(each, signal);
    }
    await sweepSlots(name, null, files);
    await forgetPrevious(name, docker, signal);
    return pruneImages(docker, signal);
  }
  if (resource === null)
    throw new FleetError("INVALID", `container has no step ${step.action} without a declaration`);
  const { spec } = resource;
  await refuseSources(spec, files);
  switch (step.action) {
    case "pull":
      return ports.pulls.try(`${step.args.repository}@${step.args.digest} ${identityOf(spec)}`, () =>
        fetchImage(String(step.args.repository), String(step.args.digest), docker, signal),
      );
    case "create":
    case "replace":
      requirePlanned(step, spec, "identity", "files_sha256");
      return takeOver(resource, ports, signal);
    case "finish":
      requirePlanned(step, spec, "identity");
      return conclude(resource, ports, signal);
    case "attach":
      return attach(step, resource, ports, signal);
    case "start":
      return start(resource, ports, signal);
    case "reload":
      requirePlanned(step, spec, "files_sha256");
      return reload(resource, ports, signal);
    default:
      throw new FleetError("INVALID", `container has no step ${step.action}`);
  }
}

/** Errors: ALTERED. */
function requirePlanned(step: Step, spec: Container, ...args: ("identity" | "files_sha256")[]): void {
  const declared = { identity: identityOf(spec), files_sha256: filesHash(spec) };
  for (const each of args)
    if (step.args[each] !== declared[each])
      throw new FleetError("ALTERED", `${step.ref} is not the one that was planned`);
}

async function attach(
  step: Step,
  { name, spec }: Resource,
  { docker }: Ports,
  signal: AbortSignal,
): Promise<void> {
  const names = (list: unknown) => (Array.isArray(list) ? list.map(String) : []);
  const facts = await docker.container(name, signal);
  const open = await openNetworks(name, spec, docker, signal);
  for (const network of [...names(step.args.off), ...names(step.args.on)])
    if (facts?.networks[network] !== undefined) await docker.detach(network, name, signal);
  for (const network of names(step.args.on))
    await docker.attach(network, name, attachOptions(spec, network, open), signal);
}

async function start({ name, spec }: Resource, { docker }: Ports, signal: AbortSignal): Promise<void> {
  const facts = await docker.container(name, signal);
  if (facts?.status === "paused") await docker.unpause(name, signal);
  else await docker.start(name, signal);
  const why = await untilReady(name, spec, docker, signal);
  if (why !== null) throw new FleetError("FAILED", why);
}

/** Writes its files and tells it. What it does not take is put back as it was, and told again. Errors: UNDONE. */
async function reload(resource: Resource, ports: Ports, signal: AbortSignal): Promise<void> {
  const { name, spec } = resource;
  const { docker, files } = ports;
  const facts = await docker.container(name, signal);
  const slot = facts?.labels[SLOT_LABEL];
  if (facts === null || slot === undefined) throw new FleetError("FAILED", `${name} is not there`);
  const before = await keepSlot(name, slot, spec, files);
  await writeSlot(name, slot, spec, contentsOf(spec, ports.blobs), files);
  if (facts.status === "running") {
    const why = await tell(resource, ports, signal);
    if (why !== null) {
      await writeSlot(name, slot, spec, before, files);
      const again = await tell(resource, ports, signal);
      throw new FleetError(
        "UNDONE",
        `${why}; its files are as before${again === null ? "" : `, and still: ${again}`}`,
      );
    }
  }
  await noteLoaded(name, facts.id, filesHash(spec), files);
}

/** Null when it took them, else why not. */
async function tell(
  { name, spec }: Resource,
  { docker }: Ports,
  signal: AbortSignal,
): Promise<string | null> {
  const { on_change } = spec;
  if (on_change === "none") return null;
  if (on_change === "restart") await docker.restart(name, signal);
  else if ("signal" in on_change) await docker.signal(name, on_change.signal, signal);
  else {
    const { code, output } = await docker.exec(name, on_change.exec, signal);
    const words = output.replace(/\s+/g, " ").trim().slice(0, 500);
    return code === 0 ? null : `${on_change.exec.join(" ")} ended with ${code}: ${words}`;
  }
  // One that a signal ends has fallen by now.
  return untilReady(name, spec, docker, signal);
}
