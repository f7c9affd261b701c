/**
 * Reads `show protocols` and `show protocols all` of BIRD 1.6, 2 and 3. Rows of all protocols come out; only BGP blocks
 * are read further, so that the blocks of BMP, RPKI and others with their own keys cannot confuse a session.
 */
import { FleetError } from "@muster/protocol/errors";
import type { OtherProtocol } from "@muster/protocol/telemetry/routing";
import { type BirdReply, lastCode, lastText } from "./framing.ts";
import { readSession, type SeenSession } from "./session.ts";
import { type BirdClock, sinceInstant } from "./since.ts";

/** One row of `show protocols`; `block` is what stands under it with `all`: lines as they came, see `blockLines`. */
export type BirdProtocol = {
  readonly name: string;
  readonly kind: string;
  readonly table: string | null;
  readonly state: string;
  readonly since_text: string;
  readonly info: string;
  readonly block: string;
};

/**
 * Rows in the order printed. No protocol at all is an empty list.
 * @throws BIRD_REPLY for a row that cannot be read, BIRD_REFUSED with BIRD's words if it refused
 */
export function parseProtocols(reply: BirdReply): BirdProtocol[] {
  const last = lastCode(reply);
  if (last >= 8000 && last !== 8003) {
    throw new FleetError("BIRD_REFUSED", `\`show protocols\`: ${lastText(reply)} (${last})`);
  }
  const { text } = reply;
  const protocols: BirdProtocol[] = [];
  let row: Omit<BirdProtocol, "block"> | null = null;
  let [code, begin] = ["", 0];
  // 70 lines a session: this loop and that of a session are what a full look costs.
  for (let at = 0; at <= text.length; ) {
    const found = text.indexOf("\n", at);
    const end = found < 0 ? text.length : found;
    const plain = text.charCodeAt(at) === 32;
    if (!plain) code = text.slice(at, at + 4);
    // A row, or what is of no protocol, ends the block before it.
    if (code !== "1006") {
      if (row !== null) protocols.push({ ...row, block: text.slice(begin, Math.max(begin, at - 1)) });
      row = code === "1002" ? parseRow(text.slice(at + (plain ? 1 : 5), end)) : null;
      begin = end + 1;
    }
    at = end + 1;
  }
  if (row !== null) protocols.push({ ...row, block: text.slice(begin) });
  return protocols;
}

/** The lines of a block without code and mark, indented as BIRD means them. */
export function blockLines({ block }: BirdProtocol): string[] {
  return block.split("\n").map((line) => line.slice(line.startsWith(" ") ? 1 : 5));
}

/** The BGP sessions of `show protocols all`; `clock` comes from the `show status` just before (null = no times). */
export function parseSessions(reply: BirdReply, clock: BirdClock | null): SeenSession[] {
  return sessionsIn(parseProtocols(reply), clock);
}

/** The BGP sessions among protocols. */
export function sessionsIn(protocols: readonly BirdProtocol[], clock: BirdClock | null): SeenSession[] {
  return protocols
    .filter((protocol) => protocol.kind === "BGP")
    .map((protocol) => readSession(protocol, clock));
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
function parseRow(text: string): Omit<BirdProtocol, "block"> {
  const match = /^(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+(?: \S+)*)(?:\s{2,}(.*))?$/.exec(text.trimEnd());
  if (match === null) {
    throw new FleetError("BIRD_REPLY", `not a protocol row: ${JSON.stringify(text.slice(0, 120))}`);
  }
  const [, name = "", kind = "", table = "", state = "", since_text = "", info = ""] = match;
  return { name, kind, table: table === "---" ? null : table, state, since_text, info };
}
