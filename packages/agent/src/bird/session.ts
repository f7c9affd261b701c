/**
 * Reads one session's block of `show protocols all`. A router may have thousands of them, of 70 lines each, and the agent runs without V8's compilers:
 * hence plain string work on every line, and no pattern.
 */
import { type BgpSession, BgpState } from "@muster/protocol/telemetry/bgp";
import { type ChannelReader, channelReader, isChannelKey, readChannelLine, readPending } from "./channels.ts";
import type { BirdProtocol } from "./protocols.ts";
import { type BirdClock, sinceInstant } from "./since.ts";
import { timer } from "./timer.ts";

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

type Section = "local_capabilities" | "neighbor_capabilities" | null;

const CHANNEL = "Channel ";
const SPACE = 32;
/** Four digits and a mark before a line that is no continuation. */
const CODE_LENGTH = 5;
const STATES: ReadonlySet<string> = new Set(BgpState.unwrap().options);

/** `clock` null = no times. */
export function readSession(protocol: BirdProtocol, clock: BirdClock | null): SeenSession {
  const session = emptySession(protocol, clock);
  const { block } = protocol;
  let reader: ChannelReader | null = null;
  let section: Section = null;
  for (let at = 0, end = 0; at < block.length; at = end + 1) {
    const found = block.indexOf("\n", at);
    end = found < 0 ? block.length : found;
    const start = at + (block.charCodeAt(at) === SPACE ? 1 : CODE_LENGTH);
    let begin = start;
    while (block.charCodeAt(begin) === SPACE) begin += 1;
    const indent = begin - start;
    if (begin >= end) continue;
    if (indent <= 2 && block.startsWith(CHANNEL, begin)) {
      const [family = ""] = block.slice(begin + CHANNEL.length, end).split(" ", 1);
      reader = channelReader(family, "unknown");
      session.channels.push(reader.channel);
      section = null;
      continue;
    }
    if (indent >= 6 && section !== null) {
      if (indent === 6) session[section].push(block.slice(begin, end).trimEnd());
      continue;
    }
    const colon = block.indexOf(":", begin);
    if (colon < 0 || colon > end) {
      section = sectionOf(block, begin);
      if (reader !== null && section === null) readPending(reader, block.slice(begin, end));
      continue;
    }
    section = null;
    const key = block.slice(begin, colon);
    if (indent <= 2 && key === "BGP state") reader = null;
    // 1.6 has one implicit channel, before the BGP block, without a line that opens it.
    if (reader === null && indent <= 2 && isChannelKey(key)) {
      reader = channelReader("unknown", protocol.state);
      reader.channel.table = protocol.table;
      session.channels.push(reader.channel);
    }
    const value = textWithin(block, colon + 1, end);
    if (reader !== null) readChannelLine(reader, key, value);
    else if (value !== "") SESSION_KEYS.get(key)?.(session, value);
  }
  nameImplicitChannel(session);
  return session;
}

/** Without the spaces around it. */
function textWithin(block: string, from: number, to: number): string {
  let [start, end] = [from, to];
  while (start < end && block.charCodeAt(start) === SPACE) start += 1;
  while (end > start && block.charCodeAt(end - 1) === SPACE) end -= 1;
  return block.slice(start, end);
}

function sectionOf(line: string, indent: number): Section {
  if (line.startsWith("Local capabilities", indent)) return "local_capabilities";
  return line.startsWith("Neighbor capabilities", indent) ? "neighbor_capabilities" : null;
}

type Read = (session: SeenSession, value: string) => void;
const number = (value: string) => Number(value) || null;

/** By the key as printed; the value is not empty. */
const SESSION_KEYS: ReadonlyMap<string, Read> = new Map<string, Read>([
  ["Description", (session, value) => assign(session, "description", value)],
  ["Message", (session, value) => assign(session, "message", value)],
  ["BGP state", (session, value) => assign(session, "state", bgpState(value))],
  ["Neighbor address", (session, value) => assign(session, "neighbor_address", value)],
  [
    "Neighbor range",
    (session, value) => {
      session.neighbor_range = value;
      session.dynamic = true;
    },
  ],
  ["Neighbor AS", (session, value) => assign(session, "neighbor_as", number(value))],
  ["Neighbor ID", (session, value) => assign(session, "neighbor_id", value)],
  ["Neighbor port", (session, value) => assign(session, "neighbor_port", number(value))],
  ["Local AS", (session, value) => assign(session, "local_as", number(value))],
  // 1.6 names them in one line.
  [
    "Neighbor caps",
    (session, value) => assign(session, "neighbor_capabilities", value.split(" ").filter(Boolean)),
  ],
  ["Session", (session, value) => assign(session, "session_type", value)],
  ["Source address", (session, value) => assign(session, "source_address", value)],
  ["Hold timer", (session, value) => assign(session, "hold_timer", timer(value))],
  ["Keepalive timer", (session, value) => assign(session, "keepalive_timer", timer(value))],
  ["Send hold timer", (session, value) => assign(session, "send_hold_timer", timer(value))],
  ["Connect delay", (session, value) => assign(session, "connect_timer", timer(value))],
  // After an error it waits before it begins anew.
  ["Error wait", (session, value) => assign(session, "connect_timer", timer(value))],
  [
    "TX pending",
    (session, value) => {
      const bytes = Number.parseInt(value, 10);
      session.tx_pending_bytes = Number.isNaN(bytes) ? null : bytes;
    },
  ],
  ["Last error", (session, value) => assign(session, "last_error", value)],
]);

function assign<K extends keyof SeenSession>(session: SeenSession, field: K, value: SeenSession[K]): void {
  session[field] = value;
}

function bgpState(word: string): BgpState {
  const state = word.toLowerCase();
  return STATES.has(state) ? (state as BgpState) : "unknown";
}

/** Without `all` there is no block: the first word of Info is the BGP state, none means not started. */
function infoState({ info, state }: BirdProtocol): BgpState {
  const [word = ""] = info.split(" ", 1);
  return word === "" ? (state.toLowerCase() === "down" ? "down" : "unknown") : bgpState(word);
}

/** BIRD 1.6 is one daemon a family and never names it: the peer's address tells. */
function nameImplicitChannel(session: SeenSession): void {
  for (const channel of session.channels) {
    if (channel.family !== "unknown") continue;
    channel.family = session.neighbor_address?.includes(":") === true ? "ipv6" : "ipv4";
  }
}

type Row = Pick<SeenSession, "name" | "state" | "protocol_state" | "since" | "info">;

/** A session of which nothing more was said. A new one each time: a reader fills its lists. */
export const unsaid = ({ name, state, protocol_state, since, info }: Row): SeenSession => ({
  name,
  state,
  protocol_state,
  since,
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
  info,
  dynamic: false,
  hold_timer: null,
  keepalive_timer: null,
  send_hold_timer: null,
  connect_timer: null,
  messages: null,
  tx_pending_bytes: null,
  local_capabilities: [],
  neighbor_capabilities: [],
  channels: [],
});

const emptySession = (protocol: BirdProtocol, clock: BirdClock | null): SeenSession =>
  unsaid({
    name: protocol.name,
    state: infoState(protocol),
    protocol_state: protocol.state.toLowerCase(),
    since: sinceInstant(protocol.since_text, clock),
    info: protocol.info === "" ? null : protocol.info,
  });
