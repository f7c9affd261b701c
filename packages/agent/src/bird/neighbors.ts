/**
 * Reads `show bfd sessions`, `show ospf neighbors` and `show babel neighbors`: tables below the name of their protocol. Cells are words, so that
 * a long address that pushes a column aside is still read.
 */
import type { BfdSession, InnerNeighbor } from "@muster/protocol/telemetry/routing";
import type { BirdReply } from "./framing.ts";
import { type BirdClock, sinceInstant } from "./since.ts";

const BFD_ROW = 1020;
const OSPF_ROW = 1013;
const BABEL_ROW = 1024;

/** Sessions of all BFD protocols; a refusal, as when none runs, is an empty list. */
export function bfdSessions(reply: BirdReply, clock: BirdClock | null): BfdSession[] {
  return rowsOf(reply, BFD_ROW).flatMap(({ protocol, cells }): BfdSession[] => {
    // Since may be two words: `2026-11-21 10:00:00`.
    const [address = "", found = "", state = "", ...rest] = cells;
    const [timeout, interval] = [rest.at(-1), rest.at(-2)];
    if (rest.length < 3 || !isAddress(address)) return [];
    return [
      {
        protocol,
        address,
        interface: found === "---" ? null : found,
        state: state.toLowerCase(),
        since: sinceInstant(rest.slice(0, -2).join(" "), clock),
        interval_s: number(interval),
        timeout_s: number(timeout),
      },
    ];
  });
}

/** Neighbours of all OSPF protocols, or of the one that was asked (BIRD 1.6 and 2.0 tell of one at a time). */
export function ospfNeighbors(reply: BirdReply): InnerNeighbor[] {
  return rowsOf(reply, OSPF_ROW).flatMap(({ protocol, cells }): InnerNeighbor[] => {
    const [id = "", , state = "", expires = "", found = "", address = ""] = cells;
    if (cells.length < 6 || !isAddress(id)) return [];
    const none = { metric: null, routes: null };
    const expires_s = ospfSeconds(expires);
    return [{ protocol, kind: "ospf", address, id, interface: found, state, expires_s, ...none }];
  });
}

/** Neighbours of all Babel protocols. */
export function babelNeighbors(reply: BirdReply): InnerNeighbor[] {
  return rowsOf(reply, BABEL_ROW).flatMap(({ protocol, cells }): InnerNeighbor[] => {
    const [address = "", found = "", metric, routes, , expires] = cells;
    if (cells.length < 6 || !isAddress(address)) return [];
    return [
      {
        protocol,
        kind: "babel",
        address,
        id: null,
        interface: found,
        state: null,
        metric: number(metric),
        routes: number(routes),
        expires_s: number(expires),
      },
    ];
  });
}

/** Lines of one code, each with the `name:` line that it stands below; heads and blanks are left to the caller. */
function rowsOf(reply: BirdReply, code: number): { protocol: string; cells: string[] }[] {
  let protocol = "";
  return reply.lines.flatMap((line) => {
    const text = line.text.trim();
    const name = /^([A-Za-z_][A-Za-z0-9_]*):$/.exec(text)?.[1];
    if (name !== undefined) protocol = name;
    if (line.code !== code || text === "" || name !== undefined) return [];
    return [{ protocol, cells: text.split(/\s+/) }];
  });
}

const isAddress = (text: string) => /^[0-9a-fA-F:.]*[.:][0-9a-fA-F:.]*$/.test(text);

/** `00:08` of 1.6 is minutes and seconds, `9.865` of 2.x seconds. */
function ospfSeconds(text: string): number | null {
  const match = /^(?:(\d+):)?(\d+):(\d+)$/.exec(text);
  if (match === null) return number(text);
  return Number(match[1] ?? 0) * 3_600 + Number(match[2]) * 60 + Number(match[3]);
}

function number(text: string | undefined): number | null {
  return text !== undefined && /^\d+(\.\d+)?$/.test(text) ? Number(text) : null;
}
