/** Samples of what lies below and on a host, as of an instant in milliseconds: of each kind one thing, of which all is known; counters grow. */
import type { FaultyKind, Health, Sample } from "@muster/protocol";

const stall = { avg10: 1, avg60: 2 };
const pressure = { some: stall, full: stall };

export const machine = (at: number): Partial<Health> => ({
  cpu_modes: { user: 0.2, nice: 0, system: 0.1, iowait: 0, irq: 0, steal: 0, idle: 0.7 },
  pressure: { cpu: pressure, memory: pressure, io: pressure },
  oom_kills: 0,
  disks: [
    {
      mount: "/",
      size_bytes: 1e10,
      used_bytes: 5e9,
      inodes: 1_000,
      inodes_used: 10,
      full_in_s: 86_400,
      inodes_full_in_s: 172_800,
    },
  ],
  disk_io: [{ device: "vda", read_bytes: at, written_bytes: at, busy: 0.1 }],
  interfaces: [
    {
      ...{ name: "eth0", rx_bytes: at, tx_bytes: at, up: true },
      ...{ rx_errors: at, tx_errors: at, rx_dropped: at, tx_dropped: at },
    },
  ],
  temperatures: [{ sensor: "cpu", celsius: 50, critical_celsius: 90 }],
  clock: { source: "chrony", synchronized: true, offset_s: 0.001 },
  reboot: { due: false, why: "" },
});

export function collected(at: number): [FaultyKind, object][] {
  const fault = { colour: "red" as const, what: "web is down", about: "web", ref: null, since: at };
  const of = { at, present: true, faults: [fault] };
  const containers: Sample<"containers"> = {
    ...of,
    engine: { reachable: true, error: null },
    left_out: 0,
    containers: [
      {
        ...{ name: "web", declared: true, state: "running", since: 1, image: "web:1", image_id: "sha256:1" },
        ...{ health: "healthy", exit_code: null, restarts: 1, oom_killed: false, cpu: 0.1 },
        ...{ ended_at: null, ended_with: null, oom_at: null },
        ...{ memory_bytes: 1e7, memory_limit_bytes: null, rx_bytes: at, tx_bytes: at, verdict: "ok" },
      },
    ],
  };
  const services: Sample<"services"> = {
    ...of,
    systemd: { reachable: true, error: null },
    services: [
      {
        ...{ unit: "bird.service", ref: "service/bird", wanted: "running", active: "active", sub: "running" },
        ...{ since: 1, restarts: 0, memory_bytes: 1e7, result: null, verdict: "ok" },
      },
    ],
  };
  const certificates: Sample<"certificates"> = {
    ...of,
    certificates: [
      {
        ...{
          name: "web",
          ref: "certificate/web",
          where: "www.example.net:443",
          subject: "CN=www",
          names: [],
        },
        ...{ issuer: "CN=ca", serial: "01", not_before: 1, not_after: at + 86_400_000, chain_ends: null },
        ...{ looked_at: at, error: null, verdict: "ending" },
      },
    ],
  };
  const packages: Sample<"packages"> = {
    ...{ ...of, asked_at: at, refreshed_at: at - 60_000, error: null, pending: 3, security: 1 },
    ...{ updates: [], declared: [] },
  };
  const wireguard: Sample<"wireguard"> = {
    ...of,
    error: null,
    interfaces: [
      {
        ...{ name: "wg-core1", state: "up", expected: true, public_key: "a", listen_port: 51_820 },
        peers: [
          {
            ...{
              public_key: "b",
              declared: true,
              endpoint: null,
              allowed_ips: [],
              handshake_at: at - 60_000,
            },
            ...{ rx_bytes: at, tx_bytes: at, keepalive_s: 25, verdict: "ok" },
          },
        ],
      },
    ],
  };
  return [
    ["containers", containers],
    ["services", services],
    ["certificates", certificates],
    ["packages", packages],
    ["wireguard", wireguard],
  ];
}
