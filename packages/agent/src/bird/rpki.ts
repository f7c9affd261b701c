/** RPKI sessions and ROA tables out of the blocks of `show protocols all`: what origin validation rests on. */
import type { RoaTable, RpkiSession } from "@muster/protocol/telemetry/routing";
import { type ChannelReader, channelReader, readChannelLine } from "./channels.ts";
import { type BirdProtocol, blockLines } from "./protocols.ts";
import { type BirdClock, sinceInstant } from "./since.ts";
import { timer } from "./timer.ts";

/** The RPKI protocols among them, in their order. */
export function rpkiSessions(protocols: readonly BirdProtocol[], clock: BirdClock | null): RpkiSession[] {
  return protocols.filter(({ kind }) => kind === "RPKI").map((protocol) => rpkiSession(protocol, clock));
}

function rpkiSession(protocol: BirdProtocol, clock: BirdClock | null): RpkiSession {
  const said = new Map<string, string>();
  for (const line of blockLines(protocol)) {
    const match = /^ {0,2}([A-Z][^:]*?)\s*:\s*(.*)$/.exec(line);
    if (match !== null) said.set(match[1] ?? "", match[2] ?? "");
  }
  const text = (key: string) => {
    const value = said.get(key) ?? "";
    return value === "" || value === "---" ? null : value;
  };
  const server = text("Cache server");
  const port = text("Cache port");
  const serial = text("Serial number");
  const updated = /before ([\d.]+) s/.exec(text("Last update") ?? "")?.[1];
  const counts = channelsOf(protocol).flatMap(({ imported }) => imported ?? []);
  return {
    name: protocol.name,
    state: (text("Status") ?? protocol.info.split(/\s+/)[0] ?? protocol.state).toLowerCase(),
    since: sinceInstant(protocol.since_text, clock),
    server: server === null ? null : `${server}${port === null ? "" : ` port ${port}`}`,
    transport: text("Transport"),
    serial: serial === null ? null : Number(serial),
    last_update_s: updated === undefined ? null : Number(updated),
    expire_timer: timer(text("Expire timer") ?? ""),
    roas: counts.length === 0 ? null : counts.reduce((sum, count) => sum + count, 0),
  };
}

/**
 * The ROA tables that a protocol is connected to, with their ROAs: each channel counts those of its own that are preferred, and of one ROA one route
 * is. A table whose protocols are all down has none.
 */
export function roaTables(protocols: readonly BirdProtocol[]): RoaTable[] {
  const tables = new Map<string, number>();
  for (const protocol of protocols) {
    // BGP and the kernel carry none; their blocks are the long ones.
    if (protocol.kind !== "RPKI" && protocol.kind !== "Static" && protocol.kind !== "Pipe") continue;
    for (const { family, table, preferred } of channelsOf(protocol)) {
      if (!family.startsWith("roa") || table === null) continue;
      tables.set(table, (tables.get(table) ?? 0) + (preferred ?? 0));
    }
  }
  return [...tables].map(([table, roas]) => ({ table, roas }));
}

function channelsOf(protocol: BirdProtocol) {
  const readers: ChannelReader[] = [];
  for (const line of blockLines(protocol)) {
    const channel = /^ {0,2}Channel (\S+)/.exec(line)?.[1];
    if (channel !== undefined) readers.push(channelReader(channel, "unknown"));
    const reader = readers.at(-1);
    const match = /^\s*([A-Z][A-Za-z ]*?)\s*:\s*(.*)$/.exec(line);
    if (reader !== undefined && match !== null) readChannelLine(reader, match[1] ?? "", match[2] ?? "");
  }
  return readers.map(({ channel }) => channel);
}
