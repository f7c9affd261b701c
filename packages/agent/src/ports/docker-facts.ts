/** What the engine tells of a container and a network, cut to what Muster looks at: plain JSON. Pure. */
import { totalmem } from "node:os";
import type { ToldContainer, ToldNetwork } from "./docker.ts";

export type AttachedFacts = {
  /** Fixed addresses, as they were asked for. */
  readonly fixed_ipv4: string | null;
  readonly fixed_ipv6: string | null;
  /** Addresses now; null while it does not run. */
  readonly ipv4: string | null;
  readonly ipv6: string | null;
};

export type ContainerFacts = {
  readonly id: string;
  readonly image_id: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly status: string;
  /** How it ended last; null of one that runs or never ran: Docker forgets it when it starts a container again. */
  readonly exit_code: number | null;
  /** The engine's words on why it does not start; empty when it says nothing. */
  readonly error: string;
  readonly oom_killed: boolean;
  readonly restarts: number;
  readonly started_ms: number | null;
  readonly finished_ms: number | null;
  /** Null without a health check. */
  readonly health: string | null;
  /** Output of the last health check. */
  readonly health_words: string;
  readonly limits: {
    readonly memory_bytes: number;
    readonly cpus: number;
    readonly pids: number | null;
    readonly restart: string;
    readonly restart_retries: number;
  };
  readonly host_network: boolean;
  /** What it publishes, such as `:443/tcp` or `198.51.100.1:443/tcp`. */
  readonly ports: readonly string[];
  readonly networks: Readonly<Record<string, AttachedFacts>>;
};

/** A container as the engine's list has it: what is cheap to know of all. */
export type ListedContainer = {
  readonly id: string;
  readonly name: string;
  readonly image: string;
  readonly image_id: string;
  /** The engine's word: running, exited, … */
  readonly state: string;
  /** For people: Up 3 minutes (healthy). */
  readonly status: string;
};

/** What a container has used since it was started. */
export type ContainerUsage = {
  readonly cpu_ns: number;
  /** Without the part of the page cache that can be dropped. */
  readonly memory_bytes: number | null;
  /** Null: as much as the host has. */
  readonly memory_limit_bytes: number | null;
  /** Over all networks; null without one of its own. */
  readonly rx_bytes: number | null;
  readonly tx_bytes: number | null;
};

export type NetworkFacts = {
  readonly id: string;
  readonly driver: string;
  readonly internal: boolean;
  readonly ipv6: boolean;
  readonly subnets: readonly string[];
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /** Names of those that run on it. */
  readonly containers: readonly string[];
};

/** States in which Docker's exit code is that of the last run. */
const ENDED = new Set(["exited", "dead", "restarting"]);

export function containerFacts(told: ToldContainer): ContainerFacts {
  const { State, HostConfig, NetworkSettings, Config } = told;
  const last = State.Health?.Log?.at(-1);
  const memory = HostConfig.Memory ?? 0;
  return {
    id: told.Id,
    image_id: told.Image,
    labels: Config.Labels ?? {},
    status: State.Status,
    exit_code: ENDED.has(State.Status) ? State.ExitCode : null,
    error: State.Error ?? "",
    oom_killed: State.OOMKilled,
    restarts: told.RestartCount,
    started_ms: instant(State.StartedAt),
    finished_ms: instant(State.FinishedAt),
    health: State.Health?.Status ?? null,
    health_words: (last?.Output ?? "").trim().slice(0, 500),
    limits: {
      memory_bytes: memory,
      cpus: (HostConfig.NanoCpus ?? 0) / 1e9,
      pids: HostConfig.PidsLimit ?? null,
      restart: HostConfig.RestartPolicy?.Name || "no",
      restart_retries: HostConfig.RestartPolicy?.MaximumRetryCount ?? 0,
    },
    ports: Object.entries(HostConfig.PortBindings ?? {}).flatMap(([inner, bindings]) =>
      (bindings as { HostIp?: string; HostPort: string }[]).map(
        ({ HostIp = "", HostPort }) => `${HostIp}:${HostPort}/${inner.split("/")[1]}`,
      ),
    ),
    host_network: HostConfig.NetworkMode === "host",
    networks: Object.fromEntries(
      Object.entries(NetworkSettings.Networks ?? {}).map(([name, each]) => [
        name,
        {
          fixed_ipv4: each.IPAMConfig?.IPv4Address || null,
          fixed_ipv6: each.IPAMConfig?.IPv6Address || null,
          ipv4: each.IPAddress || null,
          ipv6: each.GlobalIPv6Address || null,
        },
      ]),
    ),
  };
}

export function networkFacts(told: ToldNetwork): NetworkFacts {
  return {
    id: told.Id,
    driver: told.Driver,
    internal: told.Internal,
    ipv6: told.EnableIPv6,
    subnets: (told.IPAM?.Config ?? []).flatMap(({ Subnet }) => (Subnet === undefined ? [] : [Subnet])).sort(),
    options: told.Options ?? {},
    labels: told.Labels ?? {},
    containers: Object.values(told.Containers ?? {})
      .map(({ Name }) => Name)
      .sort(),
  };
}

export function listedContainer(told: {
  Id: string;
  Names?: readonly string[];
  Image: string;
  ImageID: string;
  State: string;
  Status: string;
}): ListedContainer {
  // Names with a further slash are links of other containers to it.
  const own = (told.Names ?? []).find((name) => name.lastIndexOf("/") === 0);
  return {
    id: told.Id,
    name: (own ?? `/${told.Id.slice(0, 12)}`).slice(1),
    image: told.Image,
    image_id: told.ImageID,
    state: told.State,
    status: told.Status,
  };
}

/** Of the engine's answer to `stats`, which is empty for one that has ended meanwhile. Memory as `docker stats` counts it (cgroup 1 and 2). */
export function containerUsage(told: ToldUsage): ContainerUsage | null {
  const cpu_ns = told.cpu_stats?.cpu_usage?.total_usage;
  const { usage, limit, stats } = told.memory_stats ?? {};
  if (cpu_ns === undefined || (cpu_ns === 0 && usage === undefined)) return null;
  const cache = stats?.total_inactive_file ?? stats?.inactive_file ?? 0;
  const networks = Object.values(told.networks ?? {});
  const sum = (field: "rx_bytes" | "tx_bytes") =>
    told.networks === undefined ? null : networks.reduce((all, each) => all + (each[field] ?? 0), 0);
  return {
    cpu_ns,
    memory_bytes: usage === undefined ? null : Math.max(0, usage - cache),
    memory_limit_bytes: limit === undefined || limit >= totalmem() ? null : limit,
    rx_bytes: sum("rx_bytes"),
    tx_bytes: sum("tx_bytes"),
  };
}

/** As much of the engine's `stats` as is looked at. */
export type ToldUsage = {
  readonly cpu_stats?: { readonly cpu_usage?: { readonly total_usage?: number } };
  readonly memory_stats?: {
    readonly usage?: number;
    readonly limit?: number;
    readonly stats?: { readonly total_inactive_file?: number; readonly inactive_file?: number };
  };
  readonly networks?: Readonly<Record<string, { readonly rx_bytes?: number; readonly tx_bytes?: number }>>;
};

/** Docker's zero time is the year 1. */
function instant(text: string | undefined): number | null {
  const at = Date.parse(text ?? "");
  return Number.isNaN(at) || at <= 0 ? null : at;
}
