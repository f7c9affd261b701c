/** What a host tells: its health, its one session, and what its collectors see, each with something that is well and something that is not. */
import type { Sample } from "@muster/protocol/telemetry/index";
import { SESSION } from "../ctl/report/samples.ts";

const HOUR_MS = 3_600_000;

export const HEALTH = {
  ...{ uptime_s: 86_400, load: [0.2, 0.3, 0.4], cpu_busy: 0.2, cores: 2, failed_units: [] },
  memory: { total_bytes: 4e9, available_bytes: 3e9, swap_used_bytes: 0 },
  disks: [{ mount: "/", size_bytes: 1e10, used_bytes: 4e9 }],
  interfaces: [{ name: "eth0", rx_bytes: 1_000, tx_bytes: 2_000, up: true }],
  agent: { rss_bytes: 7e7, cpu_s: 12, uptime_s: 3_600 },
};

/** What not every machine tells of its health. */
export const MEASURED = {
  oom_kills: 2,
  disks: [{ mount: "/", size_bytes: 1e10, used_bytes: 4e9, full_in_s: 100_800 }],
  clock: { source: "chrony", synchronized: true, offset_s: -0.00012 },
  temperatures: [
    { sensor: "nvme", celsius: 41.9, critical_celsius: null },
    { sensor: "cpu", celsius: 63, critical_celsius: 100 },
  ],
};

export const CHECK = {
  ...{ name: "web", method: "http", target: "http://[::1]/", state: "up", since: Date.now() },
  ...{ up_at: null, ran_at: null, latency_ms: null, why: "", every_ms: 30_000 },
};

export const sessions = (up: boolean) => ({
  at: new Date().toISOString(),
  daemon: {
    ...{
      name: "bird",
      reachable: true,
      error: null,
      version: "2.0.12",
      router_id: "198.51.100.1",
      state: "running",
    },
    ...{ since: { at: null, exact: true }, reconfigured: { at: null, exact: true } },
  },
  sessions: [
    {
      ...SESSION,
      ...(up
        ? {}
        : {
            state: "active",
            verdict: "down",
            why: "Socket: Connection refused",
            protocol_state: "start",
          }),
    },
  ],
});

export type Collected = {
  readonly [K in "containers" | "services" | "certificates" | "packages" | "wireguard"]: Sample<K>;
};

export function collected(now_ms: number): Collected {
  const told = { at: now_ms, present: true };
  const fault = (what: string, about: string, ref: string | null = null) => [
    { colour: "red" as const, what, about, ref, since: now_ms - HOUR_MS },
  ];
  const container = {
    ...{ declared: true, state: "running", since: now_ms - HOUR_MS, image: "grafana/grafana:12.1.0" },
    ...{ image_id: "sha256:1a4f1a4f1a4f1a4f", health: "healthy", exit_code: null, restarts: 0 },
    ...{
      oom_killed: false,
      ...{ ended_at: null, ended_with: null, oom_at: null },
      cpu: 0.12,
      memory_bytes: 2e8,
      memory_limit_bytes: null,
      rx_bytes: 1e6,
      tx_bytes: 2e6,
    },
    verdict: "ok" as const,
  };
  const service = {
    ...{ ref: "service/bird", wanted: "running" as const, active: "active", sub: "running" },
    ...{ since: now_ms - HOUR_MS, restarts: 0, memory_bytes: 1e7, result: null, verdict: "ok" as const },
  };
  const certificate = {
    ...{ ref: null, where: null, subject: "CN=ixp1", names: ["ixp1", "ixp1.as64500"], issuer: "CN=services" },
    ...{
      serial: "01",
      not_before: now_ms - HOUR_MS,
      not_after: now_ms + 20 * 24 * HOUR_MS,
      chain_ends: null,
    },
    ...{ looked_at: now_ms, error: null, verdict: "ok" as const },
  };
  const peer = {
    ...{ public_key: "abcdefghijklmnopqrstuvwxyz=", declared: true, endpoint: "198.51.100.1:51820" },
    ...{
      allowed_ips: ["::/0"],
      handshake_at: now_ms - 20_000,
      rx_bytes: 1e6,
      tx_bytes: 1e6,
      keepalive_s: 25,
    },
    verdict: "ok" as const,
  };
  return {
    containers: {
      ...told,
      faults: fault("container web exited with code 137: out of memory", "web", "container/web"),
      engine: { reachable: true, error: null },
      containers: [
        { ...container, name: "grafana" },
        {
          ...container,
          name: "web",
          state: "exited",
          health: null,
          exit_code: 137,
          oom_killed: true,
          verdict: "down",
        },
      ],
      left_out: 0,
    },
    services: {
      ...{ ...told, faults: [], systemd: { reachable: true, error: null } },
      services: [{ ...service, unit: "bird.service" }],
    },
    certificates: {
      ...{ ...told, faults: fault("certificate edge ends in 2 d", "edge") },
      certificates: [
        { ...certificate, name: "service" },
        {
          ...certificate,
          ...{
            name: "edge",
            where: "/etc/ssl/edge.pem",
            verdict: "ending",
            not_after: now_ms + 49 * HOUR_MS,
          },
        },
      ],
    },
    packages: {
      ...{ ...told, faults: [], asked_at: now_ms, refreshed_at: now_ms - HOUR_MS, error: null },
      ...{ pending: 1, security: 1 },
      updates: [{ name: "openssl", installed: "3.0.1", offered: "3.0.2", security: true }],
      declared: [
        { name: "bird2", ref: "package/bird2", wanted: "installed", version: null, broken: null, ok: false },
      ],
    },
    wireguard: {
      ...{ ...told, faults: [], error: null },
      interfaces: [
        {
          ...{ name: "wg-core1", state: "up", expected: true, public_key: null, listen_port: 51820 },
          peers: [peer, { ...peer, public_key: "zyxwvutsrqponmlk=", handshake_at: null, verdict: "never" }],
        },
      ],
    },
  };
}
