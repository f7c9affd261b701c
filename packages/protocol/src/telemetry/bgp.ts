/**
 * The BGP sample: what one host's routing daemon says about its sessions, joined with what was declared. A session
 * that should be there and is not stands in the sample with the verdict `missing`, so that a reader who only colours
 * rows cannot show absence as health. Unknown fields are dropped and unknown words read as `unknown` (red).
 */
import { z } from "zod";
import { BfdSession, InnerNeighbor, OtherProtocol, RoaTable, RpkiSession, Since, Timer } from "./routing.ts";

/** BGP state of RFC 4271 in lower case, plus BIRD's `passive` (listening), `close` and `down` (not started). */
export const BgpState = z
  .enum([
    "established",
    "active",
    "connect",
    "idle",
    "opensent",
    "openconfirm",
    "passive",
    "close",
    "down",
    "unknown",
  ])
  .catch("unknown");
export type BgpState = z.infer<typeof BgpState>;

export const BgpVerdict = z
  .enum([
    "ok",
    "down",
    "missing",
    "imports_low",
    "not_exported",
    "pending",
    "overdue",
    "unexpected",
    "disabled",
    "drained",
    "ignored",
    "unknown",
  ])
  .catch("unknown");
export type BgpVerdict = z.infer<typeof BgpVerdict>;

export type BgpColour = "green" | "amber" | "red" | "grey";

const COLOURS = {
  ok: "green",
  down: "red",
  missing: "red",
  imports_low: "red",
  not_exported: "red",
  pending: "amber",
  overdue: "red",
  unexpected: "amber",
  disabled: "grey",
  drained: "amber",
  ignored: "grey",
  unknown: "red",
} as const satisfies Record<BgpVerdict, BgpColour>;

/** The one place that says which verdicts are red. */
export function bgpColour(verdict: BgpVerdict): BgpColour {
  return COLOURS[verdict];
}

const Count = z.number().int().nullable();

export const BgpSince = Since;
export type BgpSince = Since;
export const BgpTimer = Timer;
export type BgpTimer = Timer;

export const BgpLimit = z.object({
  direction: z
    .enum(["receive", "import", "export"])
    .describe("What is counted: before filters, after, or sent."),
  limit: z.number().int().describe("The most routes allowed."),
  action: z
    .string()
    .nullable()
    .describe("What the daemon does at the limit: warn, block, restart or disable."),
  hit: z.boolean().describe("The limit was reached."),
});
export type BgpLimit = z.infer<typeof BgpLimit>;

const AT_LIMIT: Readonly<Record<string, string>> = {
  warn: "BIRD only warns",
  block: "what comes beyond it is dropped",
  restart: "the session is restarted then",
  disable: "the session is disabled then, until somebody enables it",
};

/** What happens at a limit, in words; "" where the daemon does not say. */
export const atLimitText = ({ action }: BgpLimit): string => AT_LIMIT[action ?? ""] ?? action ?? "";

export const BgpCounters = z.object({
  received: Count.describe("Updates or withdraws that came in."),
  rejected: Count.describe("Dropped as invalid, or on export rejected before the filter."),
  filtered: Count.describe("Dropped by the filter."),
  ignored: Count.describe("Without effect."),
  rx_limit: Count.describe("Dropped by the receive limit; null before BIRD 3."),
  limit: Count.describe("Dropped by the import or export limit; null before BIRD 3."),
  accepted: Count.describe("Taken into the table, or sent."),
});
export type BgpCounters = z.infer<typeof BgpCounters>;

export const BgpChannel = z.object({
  family: z.string().describe("The channel's name: ipv4, ipv6, vpn4-mpls, …"),
  state: z.string().describe("up, start, down, flushing or pause, in lower case."),
  import_state: z
    .string()
    .nullable()
    .default(null)
    .describe("State of the import alone, in lower case; null before BIRD 3."),
  export_state: z
    .string()
    .nullable()
    .default(null)
    .describe("State of the export alone, in lower case; null before BIRD 3."),
  preference: Count.default(null).describe("What its routes weigh against those of other protocols."),
  table: z.string().nullable().describe("Routing table that the channel is connected to."),
  import_filter: z.string().nullable().describe("Name of the import filter as the daemon prints it."),
  export_filter: z.string().nullable().describe("Name of the export filter as the daemon prints it."),
  imported: Count.describe("Routes taken from the peer; null = unknown, as while the channel is down."),
  filtered: Count.describe("Routes rejected and kept; null unless the channel keeps filtered routes."),
  exported: Count.describe("Routes sent to the peer; null = unknown."),
  preferred: Count.describe("Imported routes that are the best of their net; null = unknown."),
  limits: z.array(BgpLimit).describe("Configured limits."),
  next_hop: z.string().nullable().describe("Next hop announced on this channel."),
  pending: Count.default(null).describe("Prefixes that wait to be sent; null before BIRD 3."),
  counters: z
    .object({
      import_updates: BgpCounters.nullable().describe("Routes that the peer sent."),
      import_withdraws: BgpCounters.nullable().describe("Routes that the peer took back."),
      export_updates: BgpCounters.nullable().describe("Routes that were sent."),
      export_withdraws: BgpCounters.nullable().describe("Routes that were taken back from the peer."),
    })
    .nullable()
    .describe("Route change counters since the session came up; null while the channel is down."),
});
export type BgpChannel = z.infer<typeof BgpChannel>;

export const BgpWas = z.object({
  up_ms: z.number().int().min(0).nullable().describe("How long it was established; null = unknown."),
  imported: Count.describe("Routes taken from the peer then, over all channels; null = unknown."),
  exported: Count.describe("Routes sent to the peer then, over all channels; null = unknown."),
});
export type BgpWas = z.infer<typeof BgpWas>;

export const BgpMessages = z.object({
  updates: Count.describe("UPDATE messages."),
  notifications: Count.describe("NOTIFICATION messages: each ended a session."),
  total: Count.describe("Messages of all types."),
});
export type BgpMessages = z.infer<typeof BgpMessages>;

export const BgpSession = z.object({
  name: z.string().describe("The session's name in the daemon."),
  state: BgpState.describe("BGP state."),
  protocol_state: z
    .string()
    .describe(
      "The daemon's own state of the protocol: up, start, down, stop, flush; `missing` if it has none.",
    ),
  since: BgpSince.describe("Since when `protocol_state` holds."),
  neighbor_address: z
    .string()
    .nullable()
    .describe("Address of the peer, with %interface for link-local ones."),
  neighbor_range: z
    .string()
    .nullable()
    .describe("Prefix that peers may come from, for a listener of dynamic peers."),
  neighbor_as: z.number().int().nullable().describe("AS of the peer; null if any is taken."),
  neighbor_id: z.string().nullable().describe("Router id of the peer, known once established."),
  neighbor_port: z.number().int().nullable().describe("TCP port of the peer if it is not 179."),
  local_as: z.number().int().nullable().describe("Our AS on this session."),
  source_address: z.string().nullable().describe("Our address on this session, known once established."),
  session_type: z
    .string()
    .nullable()
    .describe("As the daemon prints it: external, internal, multihop, AS4, …"),
  description: z.string().nullable().describe("The configured description."),
  message: z.string().nullable().describe("Text of the last shutdown, ours or the peer's (RFC 9003)."),
  last_error: z.string().nullable().describe("The daemon's own words, as `Socket: Connection refused`."),
  info: z.string().nullable().describe("The Info column as printed."),
  dynamic: z.boolean().describe("Made by, or listening for, dynamic peers (`neighbor range`)."),
  hold_timer: BgpTimer.nullable().describe("Hold timer."),
  keepalive_timer: BgpTimer.nullable().describe("Keepalive timer."),
  send_hold_timer: BgpTimer.nullable().describe("Send hold timer (RFC 9687), from BIRD 2.15 on."),
  connect_timer: BgpTimer.nullable()
    .default(null)
    .describe("Until the next attempt to connect; null while none is waited for."),
  messages: z
    .object({
      received: BgpMessages.describe("From the peer."),
      sent: BgpMessages.describe("To the peer."),
    })
    .nullable()
    .default(null)
    .describe("Messages so far; null for BIRD, which does not count them."),
  tx_pending_bytes: Count.default(null).describe("Bytes that wait to be sent; null before BIRD 3."),
  local_capabilities: z
    .array(z.string())
    .default([])
    .describe("What we offer, as the daemon names it; empty while it is not established."),
  neighbor_capabilities: z.array(z.string()).describe("Capabilities of the peer as the daemon names them."),
  channels: z.array(BgpChannel).describe("One for each address family."),
  was: BgpWas.nullable()
    .default(null)
    .describe("While it is not established, what it was when last seen so; null = not seen so."),
  flaps: z
    .number()
    .int()
    .nullable()
    .describe("Times it went down in the last hour; null = not watched long enough."),
  expected: z
    .enum(["up", "pending", "none"])
    .catch("up")
    .describe(
      "up = must be established; pending = ordered, gates nothing yet; none = nothing is asked of it.",
    ),
  verdict: BgpVerdict.describe("Expectation against observation; see bgpColour."),
  why: z.string().describe("One sentence for the operator; empty if the verdict is ok."),
  import_min: z.number().int().nullable().describe("Fewest imported routes that are asked for."),
  pending_until: z.string().nullable().describe("Last day (YYYY-MM-DD, UTC) on which being down is not red."),
  exports: z
    .array(
      z.object({
        prefix: z.string().describe("The prefix."),
        exported: z.boolean().nullable().describe("Whether the peer is sent it; null = could not be told."),
      }),
    )
    .default([])
    .describe(
      "The prefixes that this host originates (its static unreachable and blackhole routes) and those asked for; empty while it is not established.",
    ),
  exports_missing: z
    .array(z.string())
    .nullable()
    .describe("Prefixes that should be exported and are not; null = not asked for or not looked up."),
});
export type BgpSession = z.infer<typeof BgpSession>;

const TITLES: Readonly<Record<string, string>> = { bird: "BIRD", frr: "FRR", gobgp: "GoBGP" };

/** A routing daemon's name as its makers write it. */
export const daemonTitle = (name: string): string => TITLES[name] ?? name;

export const BgpDaemon = z.object({
  name: z.string().describe("Which routing daemon: bird, frr or gobgp."),
  reachable: z.boolean().describe("False: its control socket did not answer, and the rest is unknown."),
  error: z.string().nullable().describe("Why it is not reachable."),
  version: z
    .string()
    .nullable()
    .describe("As printed: 2.0.12; of GoBGP, which does not tell, that of its API."),
  router_id: z.string().nullable().describe("Router id."),
  since: BgpSince.describe("Last start of the daemon; while it is not reachable, since when."),
  reconfigured: BgpSince.describe("Last reconfiguration."),
  state: z
    .enum(["running", "reconfiguring", "shutting_down", "recovering", "unknown"])
    .catch("unknown")
    .describe("running, or what it is busy with; recovering = graceful restart."),
  undo_in_s: z
    .number()
    .nullable()
    .default(null)
    .describe("An unconfirmed configuration is loaded and is undone after so many seconds; null = none."),
  memory_bytes: z
    .int()
    .nullable()
    .default(null)
    .describe("Memory that the daemon has taken for its tables and itself; null = it does not tell."),
});
export type BgpDaemon = z.infer<typeof BgpDaemon>;

export const BgpFault = z.object({
  colour: z.enum(["red", "amber"]).catch("red").describe("How grave it is."),
  what: z.string().max(500).describe("What is wrong, in a sentence."),
  session: z.string().nullable().describe("The session that it is about; null = none, or many."),
});
export type BgpFault = z.infer<typeof BgpFault>;

export const BgpSample = z
  .object({
    at: z.string().describe("When it was taken: ISO 8601 instant in UTC."),
    daemon: BgpDaemon.describe("The routing daemon."),
    sessions: z
      .array(BgpSession)
      .max(10_000)
      .describe("Sessions seen, and those that should be there and are not."),
    left_out: z
      .object({
        up: z.int().describe("Expected up, and established."),
        red: z.int().describe("Red: only where even those do not fit."),
        other: z.int().describe("The rest."),
      })
      .nullable()
      .default(null)
      .describe("Sessions that do not fit into one message, counted; null = all are in `sessions`."),
    faults: z
      .array(BgpFault)
      .max(50)
      .default([])
      .describe(
        "What is wrong beside the verdicts: limits reached, ROA tables empty, RPKI servers, BFD and inner neighbours that are away.",
      ),
    rpki: z.array(RpkiSession).max(100).default([]).describe("RPKI sessions."),
    roa_tables: z
      .array(RoaTable)
      .max(100)
      .default([])
      .describe("ROA tables that something is connected to, with what is in them."),
    bfd: z.array(BfdSession).max(10_000).default([]).describe("BFD sessions."),
    neighbors: z.array(InnerNeighbor).max(10_000).default([]).describe("Neighbours in OSPF and Babel."),
    protocols: z
      .array(OtherProtocol)
      .max(1_000)
      .default([])
      .describe("Every protocol that is no BGP session, also of kinds never heard of."),
  })
  .describe(
    "Every BGP session, declared or seen, judged: one that should be there and is not stands in it as `missing`.",
  );
export type BgpSample = z.infer<typeof BgpSample>;

/** How many sessions are expected up, and how many of these are; those that a sample had no room for count too. */
export function sessionCounts({ sessions, left_out }: Pick<BgpSample, "sessions" | "left_out">): {
  up: number;
  expected: number;
} {
  const expected = sessions.filter((session) => session.expected === "up");
  const up = expected.filter(({ state }) => state === "established").length + (left_out?.up ?? 0);
  return { up, expected: expected.length + (left_out?.up ?? 0) + (left_out?.red ?? 0) };
}
