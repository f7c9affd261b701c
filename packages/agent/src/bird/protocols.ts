/**
 * Reads `show protocols` and `show protocols all` of BIRD 1.6, 2 and 3. Rows of all protocols come out; only BGP blocks
 * are read further, so that the blocks of BMP, RPKI and others with their own keys cannot confuse a session.
 */
import { FleetError } from "@muster/protocol/errors";
import { type BgpSession, BgpState } from "@muster/protocol/telemetry/bgp";
import type { OtherProtocol } from "@muster/protocol/telemetry/routing";
import { type ChannelReader, channelReader, isChannelKey, readChannelLine, readPending } from "./channels.ts";
import { type BirdReply, lastCode } from "./framing.ts";
import { type BirdClock, sinceInstant } from "./since.ts";
import { timer } from "./timer.ts";

/** One row of `show protocols`; `details` are the lines of its block under `all`, indented as printed. */
export type BirdProtocol = {
  readonly name: string;
  readonly kind: string;
  readonly table: string | null;
  readonly state: string;
  readonly since_text: string;
  readonly info: string;
  readonly details: readonly string[];
};

/** What the daemon alone says of a session; flaps, expectation and verdict are added later. */
export type SeenSession = Omit<
  BgpSession,
  | "was"
  | "flaps"
  | "expected"
  | "verdict"
  | "why"
  | "import_min"
  | "pending_until"
  | "exports"
  | "exports_missing"
>;

/**
 * Rows in the order printed. No protocol at all is an empty list.
 * @throws BIRD_REPLY for a row that cannot be read, BIRD_REFUSED with BIRD's words if it refused
 */
export function parseProtocols(reply: BirdReply): BirdProtocol[] {
  const code = lastCode(reply);
  if (code >= 8000 && code !== 8003) {
    throw new FleetError("BIRD_REFUSED", `\`show protocols\`: ${reply.lines.at(-1)?.text ?? ""} (${code})`);
  }
  const protocols: (BirdProtocol & { details: string[] })[] = [];
  for (const line of reply.lines) {
    if (line.code === 1002) protocols.push({ ...parseRow(line.text), details: [] });
    else if (line.code === 1006 && line.text.trim() !== "") protocols.at(-1)?.details.push(line.text);
  }
  return protocols;
}

/** The BGP sessions of `show protocols all`; `clock` comes from the `show status` just before (null = no times). */
export function parseSessions(reply: BirdReply, clock: BirdClock | null): SeenSession[] {
  return sessionsIn(parseProtocols(reply), clock);
}

/** The BGP sessions among protocols. */
export function sessionsIn(protocols: readonly BirdProtocol[], clock: BirdClock | null): SeenSession[] {
  return protocols
    .filter((protocol) => protocol.kind === "BGP")
    .map((protocol) => parseSession(protocol, clock));
}

/** Every other protocol by its row, whatever its kind is called. */
export function othersIn(protocols: readonly BirdProtocol[], clock: BirdClock | null): OtherProtocol[] {
  return protocols
    .filter((protocol) => protocol.kind !== "BGP")
    .map(({ name, kind, table, state, since_text, info }) => ({
      name,
      kind,
      table,
      state: state.toLowerCase(),
      since: sinceInstant(since_text, clock),
      info: info.trim() === "" ? null : info.trim(),
    }));
}

/** Name, kind, table, state are words of any length; Since may hold single spaces; two spaces part it from Info. */
function parseRow(text: string): Omit<BirdProtocol, "details"> {
  const match = /^(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+(?: \S+)*)(?:\s{2,}(.*))?$/.exec(text.trimEnd());
  if (match === null) {
    throw new FleetError("BIRD_REPLY", `not a protocol row: ${JSON.stringify(text.slice(0, 120))}`);
  }
  const [, name = "", kind = "", table = "", state = "", since_text = "", info = ""] = match;
  return { name, kind, table: table === "---" ? null : table, state, since_text, info };
}

function parseSession(protocol: BirdProtocol, clock: BirdClock | null): SeenSession {
  const session: SeenSession = {
    name: protocol.name,
    state: infoState(protocol),
    protocol_state: protocol.state.toLowerCase(),
    since: sinceInstant(protocol.since_text, clock),
    neighbor_address: null,
    neighbor_range: null,
    neighbor_as: null,
    neighbor_id: null,
    neighbor_port: null,
    local_as: null,
    source_address: null,
    session_type: null,
    description: null,
    message: null,
    last_error: null,
    info: protocol.info === "" ? null : protocol.info,
    dynamic: false,
    hold_timer: null,
    keepalive_timer: null,
    send_hold_timer: null,
    connect_timer: null,
    tx_pending_bytes: null,
    local_capabilities: [],
    neighbor_capabilities: [],
    channels: [],
  };
  let reader: ChannelReader | null = null;
  let section: "local" | "neighbor" | null = null;
  for (const line of protocol.details) {
    const indent = line.length - line.trimStart().length;
    const text = line.trim();
    const channel = /^Channel (\S+)/.exec(text);
    if (indent <= 2 && channel !== null) {
      reader = channelReader(channel[1] ?? "", "unknown");
      session.channels.push(reader.channel);
      section = null;
      continue;
    }
    if (indent >= 6 && section !== null) {
      if (indent === 6) session[`${section}_capabilities`].push(text);
      continue;
    }
    section = text === "Local capabilities" ? "local" : text === "Neighbor capabilities" ? "neighbor" : null;
    const colon = text.indexOf(":");
    if (colon < 0) {
      if (reader !== null) readPending(reader, text);
      continue;
    }
    const key = text.slice(0, colon).trimEnd();
    const value = text.slice(colon + 1).trim();
    if (indent <= 2 && key === "BGP state") reader = null;
    // 1.6 has one implicit channel, before the BGP block, without a line that opens it.
    if (reader === null && indent <= 2 && isChannelKey(key)) {
      reader = channelReader("unknown", protocol.state);
      reader.channel.table = protocol.table;
      session.channels.push(reader.channel);
    }
    if (reader !== null) readChannelLine(reader, key, value);
    else readSessionLine(session, key, value);
  }
  nameImplicitChannel(session);
  return session;
}

function readSessionLine(session: SeenSession, key: string, value: string): void {
  const text = value === "" ? null : value;
  switch (key) {
    case "Description":
      session.description = text;
      break;
    case "Message":
      session.message = text;
      break;
    case "BGP state":
      session.state = BgpState.parse(value.toLowerCase());
      break;
    case "Neighbor address":
      session.neighbor_address = text;
      break;
    case "Neighbor range":
      session.neighbor_range = text;
      session.dynamic = true;
      break;
    case "Neighbor AS":
      session.neighbor_as = Number(value) || null;
      break;
    case "Neighbor ID":
      session.neighbor_id = text;
      break;
    case "Neighbor port":
      session.neighbor_port = Number(value) || null;
      break;
    case "Local AS":
      session.local_as = Number(value) || null;
      break;
    case "Neighbor caps":
      session.neighbor_capabilities = value.split(/\s+/).filter((word) => word !== "");
      break;
    case "Session":
      session.session_type = text;
      break;
    case "Source address":
      session.source_address = text;
      break;
    case "Hold timer":
      session.hold_timer = timer(value);
      break;
    case "Keepalive timer":
      session.keepalive_timer = timer(value);
      break;
    case "Send hold timer":
      session.send_hold_timer = timer(value);
      break;
    case "Connect delay":
      session.connect_timer = timer(value);
      break;
    case "TX pending":
      session.tx_pending_bytes = /^\d+/.test(value) ? Number.parseInt(value, 10) : null;
      break;
    case "Last error":
      session.last_error = text;
      break;
  }
}

/** Without `all` there is no block: the first word of Info is the BGP state, none means not started. */
function infoState(protocol: BirdProtocol): BgpState {
  const word = protocol.info.split(/\s+/)[0] ?? "";
  if (word === "") return protocol.state.toLowerCase() === "down" ? "down" : "unknown";
  return BgpState.parse(word.toLowerCase());
}

/** BIRD 1.6 is one daemon a family and never names it: the peer's address tells. */
function nameImplicitChannel(session: SeenSession): void {
  for (const channel of session.channels) {
    if (channel.family !== "unknown") continue;
    channel.family = session.neighbor_address?.includes(":") === true ? "ipv6" : "ipv4";
  }
}
