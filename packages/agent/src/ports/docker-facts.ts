/** What the engine tells of a container and a network, cut to what Muster looks at: plain JSON. Pure. */
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
  readonly exit_code: number;
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

export function containerFacts(told: ToldContainer): ContainerFacts {
  const { State, HostConfig, NetworkSettings, Config } = told;
  const last = State.Health?.Log?.at(-1);
  const memory = HostConfig.Memory ?? 0;
  return {
    id: told.Id,
    image_id: told.Image,
    labels: Config.Labels ?? {},
    status: State.Status,
    exit_code: State.ExitCode,
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

/** Docker's zero time is the year 1. */
function instant(text: string | undefined): number | null {
  const at = Date.parse(text ?? "");
  return Number.isNaN(at) || at <= 0 ? null : at;
}
