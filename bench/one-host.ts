/** What a simulated host tells: a sample of every kind that there is, as large as those of a server with four sessions, three containers, eight units and a tunnel. */
import { type Numbers, numbersOf, trackOf } from "@muster/protocol/history";
import type { BgpSession } from "@muster/protocol/telemetry/bgp";
import type { Sample, TelemetryKind } from "@muster/protocol/telemetry/index";

const HOUR_MS = 3_600_000;
const HISTORY_POINTS = 30;
const POINT_MS = 10_000;

export function samplesOf(now_ms: number): { [K in TelemetryKind]: Sample<K> } {
  const in_days = (days: number) => now_ms + days * 24 * HOUR_MS;
  return {
    convergence: {
      at: now_ms,
      state: "converged",
      since: now_ms - 9 * 24 * HOUR_MS,
      generation: 44,
      content_hash: "ab".repeat(32),
      release: "cd".repeat(16),
      detail: "",
      error: null,
      resources: {
        total: 34,
        ok: 34,
        managed: {
          ...{ bird: 1, file: 7, service: 7, timer: 1, sysctl: 1, directory: 3 },
          ...{ container: 3, package: 3, check: 6, certificate: 2 },
        },
      },
      troubles: [],
      drift: [],
      held: [],
      undo_at: null,
      certificates: [
        { name: "bus", not_after: in_days(6) },
        { name: "service", not_after: in_days(25) },
        { name: "ssh", not_after: in_days(25) },
      ],
      agent_version: "0.1.0",
      last_apply_ms: 412,
    },
    bgp: {
      at: new Date(now_ms).toISOString(),
      daemon: {
        name: "bird",
        reachable: true,
        error: null,
        version: "2.0.12",
        router_id: "198.51.100.1",
        since: { at: new Date(now_ms - 41 * 24 * HOUR_MS).toISOString(), exact: true },
        reconfigured: { at: new Date(now_ms - 9 * 24 * HOUR_MS).toISOString(), exact: true },
        state: "running",
        undo_in_s: null,
        memory_bytes: 45e6,
      },
      ...{ left_out: null, faults: [], rpki: [], roa_tables: [], bfd: [], neighbors: [], protocols: [] },
      sessions: ["upstream", "locix_rs1", "locix_rs2", "core1"].map((name) => sessionOf(name, now_ms)),
    },
    health: {
      at: now_ms,
      uptime_s: 3_542_400,
      load: [0.12, 0.2, 0.18],
      cpu_busy: 0.03,
      cpu_modes: { user: 0.02, nice: 0, system: 0.01, iowait: 0, irq: 0, steal: 0, idle: 0.97 },
      pressure: { cpu: WAITS, memory: WAITS, io: WAITS },
      oom_kills: 0,
      disk_io: ["sda", "sdb"].map((device) => ({
        device,
        read_bytes: 1e11,
        written_bytes: 1e11,
        busy: 0.02,
      })),
      temperatures: ["cpu", "board"].map((sensor) => ({ sensor, celsius: 41, critical_celsius: 100 })),
      clock: { source: "chrony", synchronized: true, offset_s: 0.0001 },
      kernel: "6.1.0-37-amd64",
      reboot: { due: false, why: "" },
      cores: 4,
      memory: { total_bytes: 8e9, available_bytes: 6e9, swap_used_bytes: 0 },
      disks: ["/", "/var", "/boot"].map((mount) => ({
        ...{ mount, size_bytes: 4e10, used_bytes: 1e10 },
        ...{ inodes: 2e6, inodes_used: 1e5, full_in_s: null },
      })),
      interfaces: ["eth0", "eth1", "wg-core1"].map((name) => ({
        name,
        rx_bytes: 1e12,
        tx_bytes: 1e12,
        up: true,
        ...{ rx_rate: 1e6, tx_rate: 1e6, rx_errors: 0, tx_errors: 0, rx_dropped: 0, tx_dropped: 0 },
      })),
      failed_units: [],
      agent: { rss_bytes: 6e7, cpu_s: 410, uptime_s: 3_542_000 },
    },
    checks: {
      at: now_ms,
      checks: ["web", "ssh", "resolver", "gateway", "mail", "backup"].map((name) => ({
        ...{ name, method: "http", target: "https://www.example.net/health", state: "up", why: "" },
        ...{ since: now_ms - 9 * 24 * HOUR_MS, up_at: now_ms, ran_at: now_ms },
        ...{ latency_ms: 12.4, every_ms: 30_000 },
      })),
    },
    containers: {
      ...steady(now_ms),
      engine: { reachable: true, error: null },
      left_out: 0,
      containers: ["status", "beacon", "legacy"].map((name) => ({
        ...{ name, declared: true, state: "running", since: now_ms - 9 * 24 * HOUR_MS, verdict: "ok" },
        ...{ image: `registry.example.net/${name}:1`, image_id: `sha256:${"ab".repeat(32)}` },
        ...{ health: "healthy", exit_code: null, restarts: 0, oom_killed: false, cpu: 0.01 },
        ...{ ended_at: null, ended_with: null, oom_at: null },
        ...{ memory_bytes: 5e7, memory_limit_bytes: 5e8, rx_bytes: 1e9, tx_bytes: 1e9 },
      })),
    },
    services: {
      ...steady(now_ms),
      systemd: { reachable: true, error: null },
      services: ["bird", "ssh", "docker", "chrony", "nftables", "prometheus", "caddy", "netinfo"].map(
        (name) => ({
          ...{
            unit: `${name}.service`,
            ref: `service/${name}`,
            wanted: "running",
            active: "active",
            sub: "running",
          },
          ...{
            since: now_ms - 9 * 24 * HOUR_MS,
            restarts: 0,
            memory_bytes: 3e7,
            result: null,
            verdict: "ok",
          },
        }),
      ),
    },
    certificates: {
      ...steady(now_ms),
      certificates: ["bus", "identity", "service", "ssh", "www"].map((name) => ({
        ...{ name, ref: name === "www" ? "certificate/www" : null, where: null, subject: `CN=${name}` },
        ...{ names: ["host.example.net"], issuer: "CN=services", serial: "ab".repeat(16), verdict: "ok" },
        ...{
          not_before: now_ms - HOUR_MS,
          not_after: in_days(25),
          chain_ends: null,
          looked_at: now_ms,
          error: null,
        },
      })),
    },
    packages: {
      ...steady(now_ms),
      ...{
        asked_at: now_ms - HOUR_MS,
        refreshed_at: now_ms - HOUR_MS,
        error: null,
        pending: 20,
        security: 2,
      },
      updates: Array.from({ length: 20 }, (_, at) => ({
        ...{
          name: `lib-example-${at}`,
          installed: "1.2.3-4+deb12u1",
          offered: "1.2.3-4+deb12u2",
          security: at < 2,
        },
      })),
      declared: ["bird2", "wireguard-tools", "chrony"].map((name) => ({
        ...{ name, ref: `package/${name}`, wanted: "installed", version: "1.2.3-4", broken: null, ok: true },
      })),
    },
    wireguard: {
      ...steady(now_ms),
      error: null,
      interfaces: [
        {
          ...{
            name: "wg0",
            state: "up",
            expected: true,
            public_key: `${"A".repeat(43)}=`,
            listen_port: 51_820,
          },
          peers: ["B", "C"].map((letter) => ({
            ...{ public_key: `${letter.repeat(43)}=`, declared: true, endpoint: "[2001:db8::1]:51820" },
            ...{ allowed_ips: ["10.99.0.2/32", "fd00:99::2/128"], handshake_at: now_ms - 60_000 },
            ...{ rx_bytes: 1e9, tx_bytes: 1e9, keepalive_s: 25, verdict: "ok" as const },
          })),
        },
      ],
    },
  };
}

const WAITS = { some: { avg10: 0.1, avg60: 0.1 }, full: { avg10: 0, avg60: 0 } };
const steady = (at: number) => ({ at, present: true, faults: [] });

/** The numbers of five minutes, as they go to stream HISTORY. */
export function historyOf(now_ms: number): unknown {
  const { health, bgp } = samplesOf(now_ms);
  const track = (numbers: Numbers) =>
    trackOf(
      Array.from({ length: HISTORY_POINTS }, (_, at) => ({
        at: now_ms - at * POINT_MS,
        // What stands still is sent once: some of it does not.
        numbers: { ...numbers, cpu: at / 100, load1: at / 10 },
      })),
    );
  return {
    tracks: { health: track(numbersOf("health", health, health)), bgp: track(numbersOf("bgp", bgp, bgp)) },
  };
}

function sessionOf(name: string, now_ms: number): BgpSession {
  const counters = {
    received: 12_104,
    rejected: 0,
    filtered: 12,
    ignored: 0,
    rx_limit: null,
    limit: null,
    accepted: 12_092,
  };
  return {
    name,
    state: "established",
    protocol_state: "up",
    since: { at: new Date(now_ms - 41 * 24 * HOUR_MS).toISOString(), exact: true },
    neighbor_address: "2001:db8:1ee::1",
    neighbor_range: null,
    neighbor_as: 64499,
    neighbor_id: "198.51.100.99",
    neighbor_port: null,
    local_as: 64500,
    source_address: "2001:db8:1ee::2",
    session_type: "external AS4",
    description: null,
    message: null,
    last_error: null,
    info: "Established",
    dynamic: false,
    hold_timer: { remaining_s: 180, total_s: 240 },
    keepalive_timer: { remaining_s: 30, total_s: 80 },
    send_hold_timer: null,
    connect_timer: null,
    messages: null,
    tx_pending_bytes: null,
    local_capabilities: ["Multiprotocol", "Route refresh", "Graceful restart", "4-octet AS numbers"],
    neighbor_capabilities: ["Multiprotocol", "Route refresh", "Graceful restart", "4-octet AS numbers"],
    channels: ["ipv4", "ipv6"].map((family) => ({
      family,
      state: "up",
      import_state: null,
      export_state: null,
      preference: 100,
      pending: null,
      table: family === "ipv4" ? "master4" : "master6",
      import_filter: "from_peer",
      export_filter: "to_peer",
      imported: 12_092,
      filtered: null,
      exported: 1,
      preferred: 11_000,
      limits: [],
      next_hop: "2001:db8:1ee::2 fe80::1",
      counters: {
        import_updates: counters,
        import_withdraws: counters,
        export_updates: counters,
        export_withdraws: counters,
      },
    })),
    was: null,
    flaps: 0,
    expected: "up",
    verdict: "ok",
    why: "",
    import_min: 3,
    pending_until: null,
    exports: [{ prefix: "2001:db8:5000::/36", exported: true }],
    exports_missing: [],
  };
}
