/**
 * What a person reads, as golden texts: plans, outcomes, status, sessions, a diagnosis, events, facts. Colours stand as ‹red›…‹/›.
 * GOLDEN=1 writes them anew.
 */
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { createNkey, FleetError, type Plan, type Step } from "@muster/protocol";
import type { BgpSample, BgpSession } from "@muster/protocol/telemetry/bgp";
import type { Convergence } from "@muster/protocol/telemetry/convergence";
import * as assert from "uvu/assert";
import type { Progress } from "../../../../packages/ctl/src/apply/outcome.ts";
import type { Planned } from "../../../../packages/ctl/src/apply/plans.ts";
import type { Colour } from "../../../../packages/ctl/src/output/colour.ts";
import { tableLines } from "../../../../packages/ctl/src/output/table.ts";
import { diagnosisLines } from "../../../../packages/ctl/src/report/diagnosis.ts";
import { eventLines } from "../../../../packages/ctl/src/report/event.ts";
import { factLines, healthColumns } from "../../../../packages/ctl/src/report/facts.ts";
import { type Known, notEnrolled } from "../../../../packages/ctl/src/report/known.ts";
import { outcomeLine } from "../../../../packages/ctl/src/report/outcome.ts";
import { planLines } from "../../../../packages/ctl/src/report/plan.ts";
import { sessionColumns, sortedRows } from "../../../../packages/ctl/src/report/sessions.ts";
import {
  statusColumns,
  statusExit,
  statusOf,
  troubleLines,
} from "../../../../packages/ctl/src/report/status.ts";
import { suite } from "../../../kit/suite.ts";

const mark = (name: string) => (text: string) => `‹${name}›${text}‹/›`;
const COLOUR: Colour = {
  red: mark("red"),
  amber: mark("amber"),
  green: mark("green"),
  bold: (text) => text,
  dim: (text) => text,
};
const NOW = Date.parse("2026-11-21T06:24:00Z");
const MIN = 60_000;
const HOUR = 60 * MIN;
const DAY = 24 * HOUR;

async function golden(name: string, lines: readonly string[]): Promise<void> {
  const file = fileURLToPath(new URL(`../../../golden/ctl/${name}.txt`, import.meta.url));
  const text = `${lines.join("\n")}\n`;
  if (process.env.GOLDEN === "1") await writeFile(file, text);
  assert.fixture(text, await readFile(file, "utf8"));
}

const step = (ref: string, action: string, why: string, more: Partial<Step> = {}): Step => ({
  ref,
  action,
  args: {},
  why,
  reversible: true,
  ...more,
});
const HASH = "0".repeat(64);
const plan = (host: string, steps: Step[], more: Partial<Plan> = {}): Plan => ({
  host,
  content_hash: HASH,
  index: HASH,
  steps,
  waiting: [],
  drift: [],
  left: [],
  notes: [],
  guard: null,
  ...more,
});
const planned = (
  name: string,
  answer: Planned["plan"],
  more: { changed?: boolean; held_back?: { ref: string; why: string }[] } = {},
): Planned => ({
  target: {
    name,
    id: createNkey("user").public,
    last: null,
    changed: more.changed ?? true,
    desired: {
      content: { groups: [], labels: {}, resources: [], switches: [] },
      content_hash: HASH,
      rolled_back: {},
      held_back: more.held_back ?? [],
      outside: [],
    },
  },
  plan: answer,
});

const SESSION: BgpSession = {
  name: "upstream",
  state: "established",
  protocol_state: "up",
  since: { at: new Date(NOW - 41 * DAY).toISOString(), exact: false },
  neighbor_address: "2001:db8:ffff::1",
  neighbor_range: null,
  neighbor_as: 64496,
  neighbor_id: null,
  neighbor_port: null,
  local_as: 64500,
  source_address: "2001:db8:ffff::2",
  session_type: "external",
  description: null,
  message: null,
  last_error: null,
  info: null,
  dynamic: false,
  hold_timer: null,
  keepalive_timer: null,
  send_hold_timer: null,
  neighbor_capabilities: [],
  channels: [
    {
      family: "ipv6",
      state: "up",
      table: "master6",
      import_filter: null,
      export_filter: null,
      imported: 182_301,
      filtered: null,
      exported: 1,
      preferred: null,
      limits: [],
      next_hop: null,
      counters: null,
    },
  ],
  flaps: 0,
  expected: "up",
  verdict: "ok",
  why: "",
  import_min: 3,
  pending_until: null,
  exports_missing: null,
};
const DOWN: BgpSession = {
  ...SESSION,
  name: "locix_rs1",
  state: "active",
  protocol_state: "start",
  since: { at: new Date(NOW - 3 * HOUR - 12 * MIN).toISOString(), exact: true },
  neighbor_address: "2001:db8:1ee::1",
  neighbor_as: 64499,
  message: "maintenance until 18:00",
  last_error: "Socket: Connection refused",
  channels: [],
  verdict: "down",
  why: 'active, Socket: Connection refused, "maintenance until 18:00"',
};
const PENDING: BgpSession = {
  ...DOWN,
  name: "locix_rs2",
  neighbor_address: "2001:db8:1ee::2",
  since: { at: null, exact: false },
  message: null,
  expected: "pending",
  verdict: "pending",
  pending_until: "2026-12-15",
  why: "ordered, may be down until 2026-12-15",
};
const STRANGER: BgpSession = {
  ...SESSION,
  name: "test",
  expected: "none",
  verdict: "unexpected",
  why: "BIRD has it, the configuration does not declare it",
};
const sample = (...sessions: BgpSession[]): BgpSample => ({
  at: new Date(NOW - 5_000).toISOString(),
  daemon: {
    name: "bird",
    reachable: true,
    error: null,
    version: "2.0.12",
    router_id: null,
    since: { at: null, exact: false },
    reconfigured: { at: null, exact: false },
    state: "running",
  },
  sessions,
});

const CONVERGENCE: Convergence = {
  at: NOW - 4_000,
  state: "converged",
  since: NOW - 2 * DAY,
  generation: 44,
  content_hash: HASH,
  release: null,
  detail: "",
  error: null,
  resources: { total: 12, ok: 12, managed: { bird: 1, file: 11 } },
  troubles: [],
  drift: [],
  held: [],
  undo_at: null,
  certificates: [],
  clock_skew_ms: 3,
  agent_version: "0.1.0",
  last_apply_ms: 120,
};
const known = (name: string, more: Partial<Known> & { said?: Partial<Convergence> } = {}): Known => {
  const { said, ...rest } = more;
  return {
    ...notEnrolled(name, ["ixp", "routers"]),
    id: `U${"A".repeat(55)}`,
    enrolled: true,
    heard_at: NOW - 4_000,
    convergence: { ...CONVERGENCE, ...said },
    bgp: sample(SESSION),
    certificates: [
      { name: "bus", not_after: NOW + 6 * DAY + HOUR },
      { name: "service", not_after: NOW + 29 * DAY },
    ],
    agent_version: "0.1.0",
    signed_generation: 44,
    ...rest,
  };
};

suite("texts", (test) => {
  test("a fleet-wide plan", async () => {
    const bird = plan(
      "ixp1",
      [
        step("bird/main", "configure", "bird.conf +1 -1", {
          diff: "@@ -6,3 +6,3 @@\n protocol kernel {}\n-  if net ~ [ 2001:db8:5000::/36+ ] then reject;\n+  if net ~ [ 2001:db8:5000::/36+, ::/8+ ] then reject;\n }",
          effect: "filters reload in place, no session resets",
        }),
      ],
      {
        notes: ["checked by BIRD 2.0.12 there"],
        guard: { window_ms: 60_000, sessions: ["upstream", "core1"], also: ["ssh", "a new bus connection"] },
      },
    );
    const motd = [
      step("file//etc/motd", "write", "motd +1 -0", { args: { makes: true }, diff: "@@ -0,0 +1 @@\n+hello" }),
      step("service/sshd", "reload", "file//etc/motd changed", { effect: "reloads sshd", reversible: false }),
      step("file//etc/old", "remove", "no longer declared"),
    ];
    const rows = [
      planned("ixp1", bird),
      planned("core1", plan("core1", motd)),
      planned("core2", plan("core2", motd)),
      planned("core3", plan("core3", []), { changed: false }),
      planned(
        "core4",
        plan("core4", [], {
          drift: [{ ref: "bird/main", what: "edited by root 03:12", since: NOW, action: "left" }],
          waiting: [{ ref: "file//etc/x", why: "held until 2026-11-22 by alice: switch swap" }],
          left: [{ ref: "directory//srv", why: "Muster did not make it" }],
        }),
        {
          changed: false,
          held_back: [
            { ref: "file//etc/motd", why: "rolled back; held until the folder differs from what failed" },
          ],
        },
      ),
      planned("core5", null),
      planned("core6", new FleetError("BIRD_REFUSED", "/etc/bird/bird.conf:12:3 syntax error")),
      planned("core7", plan("core7", [])),
      planned(
        "core8",
        plan("core8", [step("file//etc/motd", "write", "motd +1 -0")], {
          refused: [
            { ref: "bird/main", error: { code: "BIRD_REFUSED", detail: "bird.conf:3:1 syntax error" } },
          ],
          waiting: [{ ref: "bird/main", why: "bird.conf:3:1 syntax error" }],
        }),
      ),
    ];
    await golden(
      "plan",
      planLines(rows, { pending: [{ name: "probe1", count: 1 }], not_enrolled: ["probe2"] }, COLOUR),
    );
  });

  test("what became of a change", async () => {
    const told = (outcome: Progress["outcome"], after_ms: number, detail = ""): Progress => ({
      outcome,
      after_ms,
      detail,
      error: null,
    });
    await golden("outcome", [
      outcomeLine("core1", told("converged", 840), COLOUR),
      outcomeLine(
        "ixp1",
        told(
          "undone",
          61_000,
          "upstream imported 182,301, now 12 (guard: within 10 %); back after 2 s. bird.conf is as before.",
        ),
        COLOUR,
      ),
      outcomeLine(
        "ixp1",
        told(
          "undone",
          61_000,
          "bird/main: undone after 60 s: upstream imported 4, now 0 (guard: within 10 %)",
        ),
        COLOUR,
      ),
      outcomeLine("ixp2", told("failed", 900, "failed: file//etc/motd: no space left on device"), COLOUR),
      outcomeLine("ixp3", told("refused", 300, "an empty state needs --force"), COLOUR),
      outcomeLine(
        "probe1",
        told("silent", 5_000, "silent before its manifest went out; it converges when it is back"),
        COLOUR,
      ),
      outcomeLine("probe2", told("not begun", 5_000, "1 failed, 0 allowed: ixp1"), COLOUR),
    ]);
  });

  test("status: every state with its words, red first, each with the next command", async () => {
    const rows = [
      known("core1"),
      known("ixp1", { bgp: sample(SESSION, DOWN, PENDING) }),
      known("ixp2", {
        said: {
          state: "undone",
          since: NOW - 10 * MIN,
          detail: "upstream imported 182,301, now 12 (guard: within 10 %)",
        },
      }),
      known("ixp3", { silent: true, heard_at: NOW - 3 * HOUR - 12 * MIN }),
      known("ixp4", {
        said: {
          drift: [{ ref: "bird/main", what: "edited by root 03:12", since: NOW - HOUR, action: "left" }],
          held: [{ ref: null, why: "switch swap", by: "alice", until: NOW + 2 * HOUR }],
        },
      }),
      known("ixp5", {
        said: { state: "watched", generation: null, resources: { total: 0, ok: 0, managed: {} } },
        bgp: null,
        signed_generation: null,
      }),
      known("ixp6", { said: { generation: 43 } }),
      known("ixp7", {
        said: {
          troubles: [{ ref: "file//etc/motd", what: "no space left on device", since: NOW - 5 * MIN }],
          state: "failed",
          detail: "file//etc/motd: no space left on device",
          since: NOW - 5 * MIN,
        },
      }),
      known("ixp8", {
        bgp: {
          ...sample({ ...DOWN, verdict: "missing", why: "BIRD does not answer" }),
          daemon: { ...sample().daemon, reachable: false, error: "connect ENOENT /run/bird/bird.ctl" },
        },
      }),
      known("ixp9", { bgp: { ...sample(SESSION), at: new Date(NOW - 13 * DAY).toISOString() } }),
      known("core2", {
        certificates: [
          { name: "bus", not_after: NOW + DAY },
          { name: "ssh", not_after: NOW - HOUR },
        ],
      }),
      known("core3", { said: { clock_skew_ms: -61_000 } }),
      notEnrolled("probe1", ["probe"]),
    ].map((each) => statusOf(each, NOW));
    await golden("status", [...tableLines(rows, statusColumns(NOW, COLOUR)), ...troubleLines(rows, COLOUR)]);
    assert.is(statusExit(rows), 1);
    assert.is(statusExit([statusOf(known("a"), NOW), statusOf(notEnrolled("b", []), NOW)]), 0);
    assert.is(statusExit([statusOf(known("a", { silent: true }), NOW)]), 5);
  });

  test("sessions: red first, counts, and the verdict in words", async () => {
    const rows = sortedRows([
      { host: "core1", session: SESSION },
      { host: "ixp1", session: STRANGER },
      { host: "ixp1", session: PENDING },
      { host: "ixp1", session: DOWN },
      {
        host: "ixp1",
        session: { ...SESSION, verdict: "imports_low", why: "imported 1, at least 3 expected" },
      },
    ]);
    await golden("sessions", tableLines(rows, sessionColumns(NOW, COLOUR), true));
  });

  test("a diagnosis, not a dump", async () => {
    const path = {
      interface: "eth1",
      interface_up: true,
      reply_ms: 0.43,
      port_179: "refused",
      last_change_here_at: NOW - 9 * DAY,
    } as const;
    const down = {
      sample: sample(DOWN),
      session: DOWN,
      path,
      last_event: {
        at: NOW - 3 * HOUR - 12 * MIN,
        what: "locix_rs1 is down; it was up 41 d, imported 12,104, exported 1",
      },
    };
    const away = {
      ...down,
      path: { ...path, reply_ms: null, port_179: "silent", last_change_here_at: null } as const,
      last_event: null,
    };
    const unrouted = {
      ...away,
      path: {
        ...path,
        interface: null,
        interface_up: null,
        reply_ms: null,
        port_179: "unreachable",
      } as const,
    };
    const low = { ...SESSION, verdict: "imports_low", why: "imported 1, at least 3 expected" } as const;
    await golden("diagnosis", [
      ...diagnosisLines(down, NOW, COLOUR),
      "",
      ...diagnosisLines(away, NOW, COLOUR),
      "",
      ...diagnosisLines(unrouted, NOW, COLOUR),
      "",
      ...diagnosisLines(
        { sample: sample(low), session: low, path: { ...path, port_179: "open" }, last_event: null },
        NOW,
        COLOUR,
      ),
      "",
      ...diagnosisLines(
        { sample: sample(PENDING), session: PENDING, path: null, last_event: null },
        NOW,
        COLOUR,
      ),
    ]);
  });

  test("events, facts and health", async () => {
    await golden("events", [
      ...eventLines(
        {
          host: "ixp1",
          event: {
            at: NOW,
            kind: "session",
            severity: "error",
            what: "upstream is down: Socket: Connection refused",
            session: "upstream",
          },
        },
        COLOUR,
      ),
      ...eventLines(
        {
          host: "_",
          event: {
            at: NOW,
            kind: "rollout",
            severity: "info",
            what: "alice rolls out generation 44 to 3 hosts in 1 wave",
            by: "alice",
          },
        },
        COLOUR,
      ),
      ...eventLines(
        {
          host: "core1",
          event: {
            at: NOW,
            kind: "drift",
            severity: "warning",
            what: "file//etc/motd edited by root 03:12; put back",
            diff: "@@ -1 +1 @@\n-hello\n+hacked",
          },
        },
        COLOUR,
      ),
    ]);
    const health = {
      at: NOW,
      uptime_s: 3 * 86_400,
      load: [0.1, 0.22, 0.3],
      cpu_busy: 0.95,
      cores: 2,
      memory: { total_bytes: 4e9, available_bytes: 3e9, swap_used_bytes: 0 },
      disks: [
        { mount: "/", size_bytes: 100, used_bytes: 40 },
        { mount: "/var", size_bytes: 100, used_bytes: 93 },
      ],
      interfaces: [{ name: "eth1", rx_bytes: 0, tx_bytes: 0, up: false }],
      failed_units: ["cron.service"],
      agent: { rss_bytes: 64 * 1024 * 1024, cpu_s: 20, uptime_s: 10_000 },
    };
    await golden("facts", [
      ...factLines({
        hostname: "ixp1",
        os: "Debian 12",
        kernel: "6.1.0-28",
        arch: "x64",
        virtual: "kvm",
        cpu: "AMD EPYC",
        cores: 2,
        memory_bytes: 4_026_531_840,
        boot_at: NOW - 3 * DAY,
        addresses: [
          { interface: "eth0", address: "2001:db8:f00::11/64" },
          { interface: "eth1", address: "2001:db8:1ee::2/64" },
        ],
        bird: "2.0.12",
        agent_version: "0.1.0",
        groups: ["ixp", "routers"],
        labels: { site: "ams" },
      }),
      "",
      ...tableLines([{ host: "ixp1", health }], healthColumns(COLOUR), true),
    ]);
  });
});
