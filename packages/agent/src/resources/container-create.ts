/** A container's spec in the engine's words. Pure. */
import { durationMs, sizeBytes } from "@muster/protocol/resources/amount";
import type { Container } from "@muster/protocol/resources/container";
import type { AttachOptions, CreateContainer, RestartPolicy } from "../ports/docker.ts";
import type { ContainerFacts } from "../ports/docker-facts.ts";
import {
  IDENTITY_LABEL,
  IMAGE_LABEL,
  identityOf,
  imageWords,
  RESOURCE_LABEL,
  RESTART_LABEL,
  SLOT_LABEL,
} from "./container-identity.ts";

export type CreateInput = {
  readonly name: string;
  readonly spec: Container;
  readonly image_id: string;
  /** Directory of its files below the container's own, and the real path on the host of each target. */
  readonly slot: string;
  readonly folders: ReadonlyMap<string, string>;
  /** Of its networks, those by which ports are published. */
  readonly open: ReadonlySet<string>;
};

const NS_PER_MS = 1_000_000;

export function createOptions(input: CreateInput): CreateContainer {
  const { name, spec, image_id, slot } = input;
  const [first] = Object.keys(spec.networks);
  return {
    Image: image_id,
    Hostname: spec.hostname ?? (spec.network_mode === "host" ? undefined : name),
    Env: Object.entries(spec.environment).map(([key, value]) => `${key}=${value}`),
    Labels: {
      ...spec.labels,
      [RESOURCE_LABEL]: `container/${name}`,
      [IDENTITY_LABEL]: identityOf(spec),
      [SLOT_LABEL]: slot,
      [IMAGE_LABEL]: imageWords(spec),
      [RESTART_LABEL]: spec.restart,
    },
    ...(spec.command === undefined ? {} : { Cmd: spec.command }),
    ...(spec.entrypoint === undefined ? {} : { Entrypoint: spec.entrypoint }),
    ...(spec.working_dir === undefined ? {} : { WorkingDir: spec.working_dir }),
    ...(spec.user === undefined ? {} : { User: spec.user }),
    ...(spec.stop_signal === undefined ? {} : { StopSignal: spec.stop_signal }),
    StopTimeout: Math.ceil(durationMs(spec.stop_grace_period) / 1_000),
    ExposedPorts: Object.fromEntries(spec.ports.map((port) => [portOf(port).inner, {}])),
    ...(spec.healthcheck === undefined ? {} : { Healthcheck: healthcheck(spec.healthcheck) }),
    HostConfig: hostConfig(input),
    ...(first === undefined
      ? {}
      : {
          NetworkingConfig: { EndpointsConfig: { [first]: attachOptions(spec, first, input.open) as never } },
        }),
  };
}

function hostConfig({ spec, folders }: CreateInput): NonNullable<CreateContainer["HostConfig"]> {
  const [first] = Object.keys(spec.networks);
  const { name, retries } = restartPolicy(spec);
  return {
    NetworkMode: spec.network_mode ?? first ?? "none",
    RestartPolicy: { Name: name, MaximumRetryCount: retries },
    Mounts: mounts(spec, folders),
    Tmpfs: Object.fromEntries(spec.tmpfs.map((each) => [each.split(":")[0], each.split(":")[1] ?? ""])),
    PortBindings: portBindings(spec.ports),
    LogConfig: {
      Type: "json-file",
      Config: { "max-size": spec.log.max_size, "max-file": String(spec.log.max_files) },
    },
    Memory: limitsOf(spec).memory_bytes,
    NanoCpus: Math.round(limitsOf(spec).cpus * 1e9),
    PidsLimit: spec.pids_limit,
    Ulimits: Object.entries(spec.ulimits).map(([Name, limit]) =>
      typeof limit === "number"
        ? { Name, Soft: limit, Hard: limit }
        : { Name, Soft: limit.soft, Hard: limit.hard },
    ),
    ...(spec.shm_size === undefined ? {} : { ShmSize: sizeBytes(spec.shm_size) }),
    Sysctls: spec.sysctls,
    CapAdd: spec.cap_add,
    CapDrop: spec.cap_drop,
    Devices: spec.devices.map(device),
    SecurityOpt: spec.security_opt,
    Privileged: spec.privileged,
    ReadonlyRootfs: spec.read_only,
    Init: spec.init,
    GroupAdd: spec.group_add,
    ExtraHosts: spec.extra_hosts,
    Dns: spec.dns,
    ...(spec.pid === undefined ? {} : { PidMode: spec.pid }),
  };
}

/** As the engine tells them of a container that is there. */
export function limitsOf(spec: Container): { memory_bytes: number; cpus: number; pids: number } {
  return {
    memory_bytes: spec.mem_limit === undefined ? 0 : sizeBytes(spec.mem_limit),
    cpus: spec.cpus ?? 0,
    pids: spec.pids_limit,
  };
}

/** What `docker update` can change: names of the fields in which the one there differs. */
export function changedLimits(spec: Container, { limits }: Pick<ContainerFacts, "limits">): string[] {
  const wanted = limitsOf(spec);
  const policy = restartPolicy(spec);
  return [
    limits.memory_bytes === wanted.memory_bytes ? "" : "mem_limit",
    limits.cpus === wanted.cpus ? "" : "cpus",
    (limits.pids ?? wanted.pids) === wanted.pids ? "" : "pids_limit",
    limits.restart === policy.name && limits.restart_retries === policy.retries ? "" : "restart",
  ].filter(Boolean);
}

export function restartPolicy({ restart }: Pick<Container, "restart">): RestartPolicy {
  const [name = "no", retries] = restart.split(":");
  return { name, retries: Number(retries ?? 0) };
}

/** How it stands on one of its networks. */
export function attachOptions(spec: Container, network: string, open: ReadonlySet<string>): AttachOptions {
  const { ipv4_address, ipv6_address, aliases } = spec.networks[network] ?? { aliases: [] };
  const fixed = {
    ...(ipv4_address === undefined ? {} : { IPv4Address: ipv4_address }),
    ...(ipv6_address === undefined ? {} : { IPv6Address: ipv6_address }),
  };
  // Engines from API 1.48 on lead a published port, and the way out, over the network that is named so; older ones take the first by name.
  const gateway = { GwPriority: open.has(network) ? 1 : 0 };
  return { IPAMConfig: fixed, Aliases: aliases, ...gateway };
}

/** `[ip:]host:inner[/udp]` in its parts. */
export function portOf(text: string): { ip: string; host: string; inner: string } {
  const match = /^(?:(?:\[([^\]]+)\]|([\d.]+)):)?(\d+):(\d+)(?:\/(tcp|udp))?$/.exec(text);
  return {
    ip: match?.[1] ?? match?.[2] ?? "",
    host: match?.[3] ?? "",
    inner: `${match?.[4] ?? ""}/${match?.[5] ?? "tcp"}`,
  };
}

function portBindings(ports: readonly string[]): Record<string, { HostIp: string; HostPort: string }[]> {
  const found: Record<string, { HostIp: string; HostPort: string }[]> = {};
  for (const port of ports) {
    const { ip, host, inner } = portOf(port);
    found[inner] = [...(found[inner] ?? []), { HostIp: ip, HostPort: host }];
  }
  return found;
}

type Mounts = NonNullable<NonNullable<CreateContainer["HostConfig"]>["Mounts"]>;

/** Not `Binds`: those make a source that is not there, and part at colons. */
function mounts(spec: Container, folders: ReadonlyMap<string, string>): Mounts {
  const volumes = spec.volumes.map((text): Mounts[number] => {
    const [Source = "", Target = "", how] = text.split(":");
    return { Type: Source.startsWith("/") ? "bind" : "volume", Source, Target, ReadOnly: how === "ro" };
  });
  const files = [...folders].map(([Target, Source]): Mounts[number] => ({
    Type: "bind",
    Source,
    Target,
    ReadOnly: true,
  }));
  return [...volumes, ...files];
}

function device(text: string) {
  const [PathOnHost = "", inner, CgroupPermissions = "rwm"] = text.split(":");
  return { PathOnHost, PathInContainer: inner ?? PathOnHost, CgroupPermissions };
}

function healthcheck(check: NonNullable<Container["healthcheck"]>): CreateContainer["Healthcheck"] {
  if ("disable" in check) return { Test: ["NONE"] };
  return {
    Test: [...check.test],
    Interval: durationMs(check.interval) * NS_PER_MS,
    Timeout: durationMs(check.timeout) * NS_PER_MS,
    StartPeriod: durationMs(check.start_period) * NS_PER_MS,
    Retries: check.retries,
  };
}
