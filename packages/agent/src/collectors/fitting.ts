/**
 * A sample that controllers take. Of a router with thousands of sessions first the details of what is well are left away, then what is well itself,
 * counted; what is red is the last to go. The order of those that stay is the daemon's.
 */
import { type BgpSample, type BgpSession, bgpColour } from "@muster/protocol/telemetry/bgp";
import { SAMPLE_BYTES } from "@muster/protocol/telemetry/index";

/** Of what stands beside the sessions, so many rows where space is short. */
const BESIDE_ROWS = 250;
const LONGEST = { up: 10_000, red: 10_000, other: 10_000 };
const RANK = { red: 0, amber: 1, grey: 2, green: 3 } as const;

export function fitting(sample: BgpSample, limit_bytes = SAMPLE_BYTES): BgpSample {
  if (fits(sample, limit_bytes)) return sample;
  const beside = {
    bfd: sample.bfd.slice(0, BESIDE_ROWS),
    neighbors: sample.neighbors.slice(0, BESIDE_ROWS),
    protocols: sample.protocols.slice(0, BESIDE_ROWS),
  };
  const around = bytesOf({ ...sample, ...beside, sessions: [], left_out: LONGEST });
  const rank = (session: BgpSession) => RANK[bgpColour(session.verdict)];
  const order = sample.sessions
    .map((session, at) => ({ session: bare(session), at, rank: rank(session) }))
    .sort((one, other) => one.rank - other.rank || one.at - other.at);
  let left_bytes = limit_bytes - around;
  const kept: { session: BgpSession; at: number }[] = [];
  const left_out = { up: 0, red: 0, other: 0 };
  for (const { session, at, rank: of } of order) {
    // Once one does not fit none after it does, which is cheaper to know than to try.
    const bytes = left_bytes > 0 ? bytesOf(session) + 1 : 1;
    left_bytes -= bytes;
    if (left_bytes > 0) kept.push({ session, at });
    else if (of === RANK.red) left_out.red += 1;
    else if (session.expected === "up" && session.state === "established") left_out.up += 1;
    else left_out.other += 1;
  }
  kept.sort((one, other) => one.at - other.at);
  const none = left_out.up + left_out.red + left_out.other === 0;
  const sessions = kept.map(({ session }) => session);
  return { ...sample, ...beside, sessions, left_out: none ? null : left_out };
}

const bytesOf = (value: object) => Buffer.byteLength(JSON.stringify(value));

/** Without writing out more than the limit. */
function fits(sample: BgpSample, limit_bytes: number): boolean {
  const { sessions, ...around } = sample;
  let left_bytes = limit_bytes - bytesOf({ ...around, sessions: [] });
  for (const session of sessions) {
    if (left_bytes <= 0) return false;
    left_bytes -= bytesOf(session) + 1;
  }
  return left_bytes > 0;
}

/** What tells its state and its routes; what explains it is asked for by `ctl bgp HOST SESSION`. */
function bare(session: BgpSession): BgpSession {
  return {
    ...session,
    info: null,
    hold_timer: null,
    keepalive_timer: null,
    send_hold_timer: null,
    connect_timer: null,
    local_capabilities: [],
    neighbor_capabilities: [],
    channels: session.channels.map((channel) => ({ ...channel, counters: null })),
  };
}
