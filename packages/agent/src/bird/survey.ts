/**
 * One look at everything that BIRD says: sessions in full, and what stands beside them. What a BIRD has no protocol for is not asked, and what it does
 * not know how to answer (1.6 knows no `configure status`) is left empty.
 */
import type { BgpDaemon, BgpSample } from "@muster/protocol/telemetry/bgp";
import { configureStatus } from "./configure.ts";
import { type BirdReply, lastCode, requireAccepted } from "./framing.ts";
import { memoryBytes } from "./memory.ts";
import { babelNeighbors, bfdSessions, ospfNeighbors } from "./neighbors.ts";
import { othersIn, parseProtocols, sessionsIn } from "./protocols.ts";
import { roaTables, rpkiSessions } from "./rpki.ts";
import type { SeenSession } from "./session.ts";
import { parseStatus } from "./status.ts";

export type Ask = (command: string) => Promise<BirdReply>;
export type Beside = Pick<
  BgpSample,
  "left_out" | "faults" | "rpki" | "roa_tables" | "bfd" | "neighbors" | "protocols"
>;
export type Survey = {
  readonly daemon: BgpDaemon;
  readonly sessions: readonly SeenSession[];
  readonly beside: Beside;
};

export const NOTHING_BESIDE: Beside = {
  left_out: null,
  faults: [],
  rpki: [],
  roa_tables: [],
  bfd: [],
  neighbors: [],
  protocols: [],
};
/** Readers take no more rows than this. */
const MOST = { rpki: 100, tables: 100, rows: 10_000, others: 1_000, named: 20 } as const;

/** Sessions alone, for whoever guards a change: two questions. Errors: BIRD_UNREACHABLE, BIRD_REPLY, BIRD_REFUSED. */
export async function surveySessions(ask: Ask, now: () => number): Promise<Survey> {
  const { daemon, clock, protocols } = await rowsNow(ask, now);
  return { daemon, sessions: sessionsIn(protocols, clock), beside: NOTHING_BESIDE };
}

/** All of it. Errors: BIRD_UNREACHABLE, BIRD_REPLY, BIRD_REFUSED. */
export async function surveyBird(ask: Ask, now: () => number): Promise<Survey> {
  const { daemon, clock, protocols } = await rowsNow(ask, now);
  const of = async <T>(kind: string, command: string, read: (reply: BirdReply) => T[]): Promise<T[]> => {
    const names = protocols.filter((each) => each.kind === kind).map(({ name }) => name);
    if (names.length === 0) return [];
    const whole = await ask(command);
    const taken = (reply: BirdReply) => lastCode(reply) < 8000;
    // 1.6 and the first of 2.0 refuse where several run, and tell of one at a time.
    const replies =
      taken(whole) || names.length === 1
        ? [whole]
        : await Promise.all(names.slice(0, MOST.named).map((name) => ask(`${command} ${name}`)));
    return replies.filter(taken).flatMap(read).slice(0, MOST.rows);
  };
  const [memory, pending, bfd, ospf, babel] = await Promise.all([
    ask("show memory"),
    ask("configure status"),
    of("BFD", "show bfd sessions", (reply) => bfdSessions(reply, clock)),
    of("OSPF", "show ospf neighbors", ospfNeighbors),
    of("Babel", "show babel neighbors", babelNeighbors),
  ]);
  const { undo_in_s } = configureStatus(pending);
  return {
    daemon: { ...daemon, undo_in_s, memory_bytes: memoryBytes(memory) },
    sessions: sessionsIn(protocols, clock),
    beside: {
      left_out: null,
      faults: [],
      rpki: rpkiSessions(protocols, clock).slice(0, MOST.rpki),
      roa_tables: roaTables(protocols).slice(0, MOST.tables),
      bfd,
      neighbors: [...ospf, ...babel].slice(0, MOST.rows),
      protocols: othersIn(protocols, clock).slice(0, MOST.others),
    },
  };
}

async function rowsNow(ask: Ask, now: () => number) {
  const { daemon, clock } = parseStatus(await ask("show status"), now());
  const reply = requireAccepted(await ask("show protocols all"), "show protocols all");
  return { daemon, clock, protocols: parseProtocols(reply) };
}
