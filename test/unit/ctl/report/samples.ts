/** A made-up fleet whose every part has something to tell, for the golden texts of what ctl prints. */
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { createNkey, type Plan, type Step } from "@muster/protocol";
import { BgpSample, type BgpSession } from "@muster/protocol/telemetry/bgp";
import type { Convergence } from "@muster/protocol/telemetry/convergence";
import { type Known, notEnrolled } from "@muster/view/known";
import * as assert from "uvu/assert";
import type { Planned } from "../../../../packages/ctl/src/apply/plans.ts";
import type { Colour } from "../../../../packages/ctl/src/output/colour.ts";

export const mark = (name: string) => (text: string) => `‹${name}›${text}‹/›`;
export const COLOUR: Colour = {
  red: mark("red"),
  amber: mark("amber"),
  green: mark("green"),
  bold: (text) => text,
  dim: (text) => text,
};
export const NOW = Date.parse("2026-11-21T06:24:00Z");
export const MIN = 60_000;
export const HOUR = 60 * MIN;
export const DAY = 24 * HOUR;

export async function golden(name: string, lines: readonly string[]): Promise<void> {
  const file = fileURLToPath(new URL(`../../../golden/ctl/${name}.txt`, import.meta.url));
  const text = `${lines.join("\n")}\n`;
  if (process.env.GOLDEN === "1") await writeFile(file, text);
  assert.fixture(text, await readFile(file, "utf8"));
}

export const step = (ref: string, action: string, why: string, more: Partial<Step> = {}): Step => ({
  ref,
  action,
  args: {},
  why,
  reversible: true,
  ...more,
});
export const HASH = "0".repeat(64);
export const plan = (host: string, steps: Step[], more: Partial<Plan> = {}): Plan => ({
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
export const planned = (
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

export const SESSION: BgpSession = {
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
  connect_timer: null,
  messages: null,
  tx_pending_bytes: null,
  local_capabilities: [],
  neighbor_capabilities: [],
  channels: [
    {
      family: "ipv6",
      state: "up",
      import_state: null,
      export_state: null,
      preference: 100,
      table: "master6",
      import_filter: null,
      export_filter: null,
      imported: 182_301,
      filtered: null,
      exported: 1,
      preferred: null,
      limits: [],
      next_hop: null,
      pending: null,
      counters: null,
    },
  ],
  was: null,
  flaps: 0,
  expected: "up",
  verdict: "ok",
  why: "",
  import_min: 3,
  pending_until: null,
  exports: [],
  exports_missing: null,
};
const COUNTERS = {
  received: 93,
  rejected: 0,
  filtered: 2,
  ignored: 0,
  rx_limit: null,
  limit: null,
  accepted: 91,
};
/** Up, with much to say. */
export const LIMITED: BgpSession = {
  ...SESSION,
  name: "locix_rs3",
  neighbor_id: "192.0.2.9",
  description: "LocIX route server 3",
  hold_timer: { remaining_s: 142.836, total_s: 180 },
  neighbor_capabilities: ["Multiprotocol", "Route refresh"],
  channels: SESSION.channels.flatMap((channel) => [
    {
      ...channel,
      imported: 91,
      filtered: 2,
      import_filter: "from_peer",
      limits: [
        { direction: "import", limit: 91, action: "block", hit: true },
        { direction: "receive", limit: 100, action: "disable", hit: false },
        { direction: "export", limit: 50, action: "warn", hit: false },
      ],
      counters: {
        ...{ import_updates: COUNTERS, import_withdraws: null, export_updates: null, export_withdraws: null },
      },
    },
    { ...channel, family: "ipv4", state: "down", imported: null, exported: null },
  ]),
  exports: [
    { prefix: "2001:db8:5000::/36", exported: true },
    { prefix: "192.0.2.0/24", exported: false },
    { prefix: "198.51.100.0/24", exported: null },
  ],
};
export const DOWN: BgpSession = {
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
  was: { up_ms: 41 * DAY + HOUR, imported: 12_104, exported: 1 },
  verdict: "down",
  why: 'active, Socket: Connection refused, "maintenance until 18:00"',
};
export const PENDING: BgpSession = {
  ...DOWN,
  name: "locix_rs2",
  neighbor_address: "2001:db8:1ee::2",
  since: { at: null, exact: false },
  was: null,
  message: null,
  expected: "pending",
  verdict: "pending",
  pending_until: "2026-12-15",
  why: "ordered, may be down until 2026-12-15",
};
export const STRANGER: BgpSession = {
  ...SESSION,
  name: "test",
  expected: "none",
  verdict: "unexpected",
  why: "BIRD has it, the configuration does not declare it",
};
export const sample = (...sessions: BgpSession[]): BgpSample =>
  BgpSample.parse({
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

export const CONVERGENCE: Convergence = {
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
  agent_version: "0.1.0",
  last_apply_ms: 120,
};
export const known = (name: string, more: Partial<Known> & { said?: Partial<Convergence> } = {}): Known => {
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
