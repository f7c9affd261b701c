/**
 * The Docker engine on this host by its socket. Loaded with the first question: a host without containers pays nothing for it. Every call has a
 * time limit, and what the engine refuses comes back in its own words. Holds no decisions.
 */
import { stat } from "node:fs/promises";
import { FleetError } from "@muster/protocol/errors";
import type Dockerode from "dockerode";
import { isMissing } from "../store.ts";
import { asking } from "./docker-ask.ts";
import type { ContainerEnds } from "./docker-ends.ts";
import { EngineEvents } from "./docker-events.ts";
import {
  type ContainerFacts,
  type ContainerUsage,
  containerFacts,
  containerUsage,
  type ListedContainer,
  listedContainer,
  type NetworkFacts,
  networkFacts,
  type ToldUsage,
} from "./docker-facts.ts";
import { type ContainerLine, type LogWish, readLogs } from "./docker-logs.ts";
import { EngineMemory, remembering } from "./docker-memory.ts";
import { textOf, unframed } from "./docker-output.ts";
import { refusal, unlessSo, wordsOf } from "./docker-words.ts";

/** It takes a signal everywhere; its types know of it only here and there. */
declare module "dockerode" {
  interface ImageInspectOptions {
    abortSignal?: AbortSignal;
  }
  interface NetworkConnectOptions {
    abortSignal?: AbortSignal;
  }
  interface Network {
    inspect(options: { abortSignal: AbortSignal }): Promise<Dockerode.NetworkInspectInfo>;
  }
}

export type DockerEngine = Dockerode;
export type ToldContainer = Dockerode.ContainerInspectInfo;
export type ToldNetwork = Dockerode.NetworkInspectInfo;
export type CreateContainer = Omit<Dockerode.ContainerCreateOptions, "name">;
export type CreateNetwork = Omit<Dockerode.NetworkCreateOptions, "Name">;
export type AttachOptions = Dockerode.EndpointSettings extends infer E ? Partial<E> : never;

export type VolumeFacts = { readonly driver: string; readonly labels: Readonly<Record<string, string>> };
export type ImageFacts = { readonly id: string; readonly tags: readonly string[] };

/** Errors of all: DOCKER_UNREACHABLE when nobody answers or not in time, DOCKER_REFUSED with the engine's words. */
export type Docker = {
  /** The socket is there: an engine is installed, whether it answers or not. */
  present(): Promise<boolean>;
  container(name: string, signal: AbortSignal): Promise<ContainerFacts | null>;
  /** All there are, running or not. */
  list(signal: AbortSignal): Promise<readonly ListedContainer[]>;
  /** What it has used, by one question; null for one that does not run. */
  usage(name: string, signal: AbortSignal): Promise<ContainerUsage | null>;
  network(name: string, signal: AbortSignal): Promise<NetworkFacts | null>;
  volume(name: string, signal: AbortSignal): Promise<VolumeFacts | null>;
  /** By id, `name:tag` or `name@digest`. */
  image(reference: string, signal: AbortSignal): Promise<ImageFacts | null>;
  /** Those with a tag in this repository. */
  images(repository: string, signal: AbortSignal): Promise<readonly ImageFacts[]>;
  /** Ids of the images that containers were made of, running or not. */
  imagesInUse(signal: AbortSignal): Promise<ReadonlySet<string>>;
  /** Fetches exactly this digest. */
  pull(repository: string, digest: string, signal: AbortSignal): Promise<void>;
  tag(id: string, repository: string, tag: string, signal: AbortSignal): Promise<void>;
  /** One reference, or by its id the whole image with all its references; nothing there is fine. Errors: DOCKER_REFUSED while a container runs of it. */
  removeImage(reference: string, signal: AbortSignal): Promise<void>;
  create(name: string, options: CreateContainer, signal: AbortSignal): Promise<void>;
  start(name: string, signal: AbortSignal): Promise<void>;
  /** Stops within its own grace period; one that does not run is fine. */
  stop(name: string, signal: AbortSignal): Promise<void>;
  restart(name: string, signal: AbortSignal): Promise<void>;
  unpause(name: string, signal: AbortSignal): Promise<void>;
  rename(name: string, to: string, signal: AbortSignal): Promise<void>;
  /** `name` as Docker has it, such as unless-stopped; `retries` of on-failure. */
  setRestart(name: string, policy: RestartPolicy, signal: AbortSignal): Promise<void>;
  /** Also one that runs, and the volumes without a name that its image asked for; named ones stay. Nothing there is fine. */
  remove(name: string, signal: AbortSignal): Promise<void>;
  signal(name: string, signal_name: string, signal: AbortSignal): Promise<void>;
  /** Runs a command in it to its end. */
  exec(
    name: string,
    command: readonly string[],
    signal: AbortSignal,
  ): Promise<{ readonly code: number; readonly output: string }>;
  /** The last lines of its log, both streams. */
  logTail(name: string, lines: number, signal: AbortSignal): Promise<string>;
  /** Its log, line by line; `follow` until it ends. No limit in time but the signal's. */
  logs(
    name: string,
    wish: LogWish,
    take: (line: ContainerLine) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void>;
  attach(network: string, container: string, options: AttachOptions, signal: AbortSignal): Promise<void>;
  detach(network: string, container: string, signal: AbortSignal): Promise<void>;
  createNetwork(name: string, options: CreateNetwork, signal: AbortSignal): Promise<void>;
  removeNetwork(name: string, signal: AbortSignal): Promise<void>;
  /** Nothing there is fine. Errors: DOCKER_REFUSED while a container has it. */
  removeVolume(name: string, signal: AbortSignal): Promise<void>;
  createVolume(
    name: string,
    options: { driver: string; driver_opts: Record<string, string>; labels: Record<string, string> },
    signal: AbortSignal,
  ): Promise<void>;
  /**
   * Calls `changed` when one of these things, or any with a label of Muster, changes, and when the engine came back: what happened before is
   * not told. Runs until the signal aborts.
   */
  follow(names: ReadonlySet<string>, changed: () => void, signal: AbortSignal): void;
  /** Calls `changed` with the id of each container to which something happened; with null where that may be any. Runs until the signal aborts. */
  watch(changed: (id: string | null) => void, signal: AbortSignal): void;
  /** Whether what happens is heard of at this moment: somebody follows or watches, and the engine's event stream stands. */
  hears(): boolean;
  /** How this container (by its whole id) ended, as events told it; null while none did. */
  ends(id: string): ContainerEnds | null;
};

export type RestartPolicy = { readonly name: string; readonly retries: number };

const READ_LIMIT_MS = 10_000;
const CHANGE_LIMIT_MS = 60_000;
/** Beyond the longest grace period that people set. */
const STOP_LIMIT_MS = 300_000;
const PULL_LIMIT_MS = 1_200_000;

/**
 * @param socket real path of the engine's socket
 * @param read_limit_ms how long a question may take
 */
export function createDocker(
  socket: string,
  read_limit_ms = READ_LIMIT_MS,
  memory = new EngineMemory(),
): Docker {
  let loading: Promise<Dockerode> | null = null;
  const engine = () => {
    loading ??= import("dockerode").then(({ default: Engine }) => new Engine({ socketPath: socket }));
    return loading;
  };

  const events = new EngineEvents(engine, memory);
  const ask = asking(engine, socket);
  const change = (
    what: string,
    signal: AbortSignal,
    work: Parameters<typeof ask<unknown>>[3],
    also?: number[],
  ) =>
    ask(
      what,
      CHANGE_LIMIT_MS,
      signal,
      work,
      also === undefined ? undefined : { answer: undefined, also },
    ).then(() => {});

  const asked: Docker = {
    async present() {
      try {
        return (await stat(socket)).isSocket();
      } catch (error) {
        if (isMissing(error)) return false;
        throw new FleetError("FAILED", `${socket}: ${wordsOf(error)}`, { cause: error });
      }
    },
    container: (name, signal) =>
      ask(
        `inspect ${name}`,
        read_limit_ms,
        signal,
        async (docker, abortSignal) =>
          containerFacts(await docker.getContainer(name).inspect({ abortSignal })),
        { answer: null },
      ),
    list: (signal) =>
      ask("ps", read_limit_ms, signal, async (docker, abortSignal) =>
        (await docker.listContainers({ all: true, abortSignal })).map(listedContainer),
      ),
    usage: (name, signal) =>
      ask(
        `stats ${name}`,
        read_limit_ms,
        signal,
        async (docker, abortSignal) => {
          // Without `one-shot` the engine waits a second for a difference.
          const once = { stream: false as const, "one-shot": true, abortSignal };
          return containerUsage((await docker.getContainer(name).stats(once)) as unknown as ToldUsage);
        },
        { answer: null, also: [409] },
      ),
    network: (name, signal) =>
      ask(
        `network inspect ${name}`,
        read_limit_ms,
        signal,
        async (docker, abortSignal) => networkFacts(await docker.getNetwork(name).inspect({ abortSignal })),
        { answer: null },
      ),
    volume: (name, signal) =>
      ask(
        `volume inspect ${name}`,
        read_limit_ms,
        signal,
        async (docker, abortSignal) => {
          const { Driver, Labels } = await docker.getVolume(name).inspect({ abortSignal });
          return { driver: Driver, labels: Labels ?? {} };
        },
        { answer: null },
      ),
    image: (reference, signal) =>
      ask(
        `image inspect ${reference}`,
        read_limit_ms,
        signal,
        async (docker, abortSignal) => {
          const { Id, RepoTags } = await docker.getImage(reference).inspect({ abortSignal });
          return { id: Id, tags: RepoTags ?? [] };
        },
        { answer: null },
      ),
    images: (repository, signal) =>
      ask(`images ${repository}`, read_limit_ms, signal, async (docker, abortSignal) => {
        const found = await docker.listImages({ filters: { reference: [repository] }, abortSignal });
        return found.map(({ Id, RepoTags }) => ({ id: Id, tags: RepoTags ?? [] }));
      }),
    imagesInUse: (signal) =>
      ask("ps", read_limit_ms, signal, async (docker, abortSignal) => {
        const all = await docker.listContainers({ all: true, abortSignal });
        return new Set(all.map(({ ImageID }) => ImageID));
      }),
    pull: (repository, digest, signal) =>
      ask(`pull ${repository}@${digest}`, PULL_LIMIT_MS, signal, async (docker, abortSignal) => {
        const stream = await docker.pull(`${repository}@${digest}`, { abortSignal });
        await new Promise<void>((resolve, reject) => {
          docker.modem.followProgress(stream, (error) => (error === null ? resolve() : reject(error)));
        });
      }),
    tag: (id, repo, tag, signal) =>
      change(`tag ${repo}:${tag}`, signal, (docker, abortSignal) =>
        docker.getImage(id).tag({ repo, tag, abortSignal }),
      ),
    removeImage: (reference, signal) =>
      change(
        `rmi ${reference}`,
        signal,
        (docker, abortSignal) =>
          docker.getImage(reference).remove({ force: reference.startsWith("sha256:"), abortSignal }),
        [],
      ),
    create: (name, options, signal) =>
      change(`create ${name}`, signal, (docker, abortSignal) =>
        docker.createContainer({ ...options, name, abortSignal }),
      ),
    // 304: it is so already.
    start: (name, signal) =>
      ask(
        `start ${name}`,
        CHANGE_LIMIT_MS,
        signal,
        async (docker, abortSignal) => void (await docker.getContainer(name).start({ abortSignal })),
      ).catch(unlessSo),
    stop: (name, signal) =>
      ask(
        `stop ${name}`,
        STOP_LIMIT_MS,
        signal,
        async (docker, abortSignal) => void (await docker.getContainer(name).stop({ abortSignal })),
        { answer: undefined },
      ).catch(unlessSo),
    restart: (name, signal) =>
      ask(
        `restart ${name}`,
        STOP_LIMIT_MS,
        signal,
        async (docker, abortSignal) => void (await docker.getContainer(name).restart({ abortSignal })),
      ),
    unpause: (name, signal) =>
      change(`unpause ${name}`, signal, (docker, abortSignal) =>
        docker.getContainer(name).unpause({ abortSignal }),
      ),
    rename: (name, to, signal) =>
      change(`rename ${name} ${to}`, signal, (docker, abortSignal) =>
        docker.getContainer(name).rename({ name: to, abortSignal }),
      ),
    setRestart: (name, { name: Name, retries }, signal) =>
      change(`update ${name}`, signal, (docker, abortSignal) =>
        docker
          .getContainer(name)
          .update({ RestartPolicy: { Name, MaximumRetryCount: retries }, abortSignal }),
      ),
    remove: (name, signal) =>
      change(
        `rm ${name}`,
        signal,
        (docker, abortSignal) => docker.getContainer(name).remove({ force: true, v: true, abortSignal }),
        [],
      ),
    signal: (name, signal_name, signal) =>
      change(`kill -s ${signal_name} ${name}`, signal, (docker, abortSignal) =>
        docker.getContainer(name).kill({ signal: signal_name, abortSignal }),
      ),
    exec: (name, command, signal) =>
      ask(`exec ${name} ${command[0]}`, CHANGE_LIMIT_MS, signal, async (docker, abortSignal) => {
        const options = { Cmd: [...command], AttachStdout: true, AttachStderr: true, Tty: true, abortSignal };
        const exec = await docker.getContainer(name).exec(options);
        const stream = await exec.start({ Tty: true, abortSignal });
        const output = await textOf(stream, abortSignal);
        const { ExitCode } = await exec.inspect({ abortSignal });
        return { code: ExitCode ?? -1, output };
      }),
    logTail: (name, tail, signal) =>
      ask(`logs ${name}`, read_limit_ms, signal, async (docker, abortSignal) => {
        const raw = await docker
          .getContainer(name)
          .logs({ stdout: true, stderr: true, follow: false, tail, abortSignal });
        return unframed(raw);
      }),
    logs: async (name, wish, take, signal) => {
      try {
        await readLogs(await engine(), name, wish, take, signal);
      } catch (error) {
        throw error instanceof FleetError ? error : refusal(`logs ${name}`, error, socket);
      }
    },
    attach: (network, container, options, signal) =>
      change(`network connect ${network} ${container}`, signal, (docker, abortSignal) =>
        docker.getNetwork(network).connect({ Container: container, EndpointConfig: options, abortSignal }),
      ),
    detach: (network, container, signal) =>
      change(`network disconnect ${network} ${container}`, signal, (docker, abortSignal) =>
        docker.getNetwork(network).disconnect({ Container: container, Force: true, abortSignal }),
      ),
    createNetwork: (name, options, signal) =>
      change(`network create ${name}`, signal, (docker, abortSignal) =>
        docker.createNetwork({ ...options, Name: name, CheckDuplicate: true, abortSignal }),
      ),
    removeNetwork: (name, signal) =>
      change(
        `network rm ${name}`,
        signal,
        (docker, abortSignal) => docker.getNetwork(name).remove({ abortSignal }),
        [],
      ),
    createVolume: (name, { driver, driver_opts, labels }, signal) =>
      change(`volume create ${name}`, signal, (docker, abortSignal) =>
        docker.createVolume({
          Name: name,
          Driver: driver,
          DriverOpts: driver_opts,
          Labels: labels,
          abortSignal,
        }),
      ),
    removeVolume: (name, signal) =>
      change(
        `volume rm ${name}`,
        signal,
        (docker, abortSignal) => docker.getVolume(name).remove({ abortSignal }),
        [],
      ),
    follow: (names, changed, signal) => events.follow(names, changed, signal),
    watch: (changed, signal) => events.watch(changed, signal),
    hears: () => events.open,
    ends: (id) => events.endings.of(id),
  };
  return remembering(asked, memory, (signal) =>
    ask("ps", read_limit_ms, signal, (docker, abortSignal) =>
      docker.listContainers({ limit: 1, abortSignal }),
    ),
  );
}
