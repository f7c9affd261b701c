/**
 * Two connections with one host's key: one host, or two machines? A host that was cut off and comes back by another way looks at first like a copy of it,
 * since its old connection stays open at the broker until that misses it. So nobody is judged by addresses alone:
 *
 * 1. the key is asked who is there: two answers to one question are two machines that run;
 * 2. where only one answers, the older connection is closed. A host that has moved has nobody there; whoever dials again while the other stands is a second
 *    machine, whatever it keeps silent about, if both then stand for longer than a broker lets a dead connection stand: a host that is cut off twice looks
 *    the same until then.
 *
 * A guarded change makes a second connection for a moment, again and again: it is the same two that have to stand through all of it.
 *
 * What neither shows (a copy that connects only while its host is away) the mark shows at the next renewal of the second of the two (`enrolment/marks.ts`);
 * until then there is an event of each address that is new (`watch.ts`).
 */
import type { Bus } from "@muster/ports/bus";
import { FleetError } from "@muster/protocol/errors";
import { subjects } from "@muster/protocol/subjects";
import { quarantine } from "../enrolment/marks.ts";
import type { Events } from "../events.ts";
import type { HostRecords } from "../records/hosts.ts";
import { pause } from "../retry.ts";
import type { Connection, Connections } from "./connections.ts";

/** How long is waited where, in milliseconds. */
export type Patience = {
  /** Before each question; in all longer than a guarded change's second connection lasts (6 s). */
  readonly questions: readonly number[];
  readonly answer: number;
  /** Hosts dial again within 5 s; a broker that is far or busy may take longer. */
  readonly return: number;
  /** A broker closes a connection that leaves three pings of every 30 s unanswered: `ping_interval` and `ping_max` of its configuration. */
  readonly dead: number;
};
export const PATIENCE: Patience = {
  questions: [500, 1_000, 2_000, 3_000, 4_000],
  answer: 1_500,
  return: 45_000,
  dead: 130_000,
};
const LOOK_MS = 100;
const KICK_MS = 3_000;
const PING = Buffer.from('{"v":1,"args":{}}');

export type JudgePorts = {
  readonly bus: Pick<Bus, "collect" | "request">;
  readonly connections: Connections;
  readonly records: HostRecords;
  readonly events: Pick<Events, "emit">;
  readonly now: () => number;
  readonly patience: Patience;
};

/** What came of it: nothing any more, one host that moved, two machines (now, or known before). */
export type Verdict = "one" | "moved" | "copy" | "known";

/** Looks at the connections of one host until it is clear what they are. Errors: CANCELLED, those of the bus. */
export async function judge(
  host: { readonly name: string; readonly id: string },
  ports: JudgePorts,
  signal: AbortSignal,
): Promise<Verdict> {
  const { connections, patience, records } = ports;
  const two = () => {
    const [first, ...others] = connections.of(host.id);
    return first === undefined || others.length === 0 ? null : { first, others };
  };
  const known = records.byName(host.name)?.quarantined;
  if (known != null) {
    await closeOthers(two(), known.from ?? null, ports);
    return "known";
  }
  const there = two();
  if (there === null) return "one";
  const stand = (...some: readonly Connection[]) => {
    const open = connections.of(host.id);
    return some.every((one) => open.some((other) => same(one, other)));
  };
  const { first } = there;
  /** Of the younger ones those that still stand. */
  const others = () => there.others.filter((one) => stand(one));
  for (const wait_ms of patience.questions) {
    await pause(wait_ms, signal);
    if (signal.aborted || !stand(first) || others().length === 0) return "one";
    if ((await answers(host.id, ports, signal)) < 2) continue;
    // A guarded change's second connection answers nothing; two that do are two, also where one of them came just now.
    return found(host, two() ?? there, "two answer at once", ports);
  }
  if (!stand(first) || others().length === 0) return "one";
  await kick(first, ports);
  for (let waited_ms = 0; waited_ms < patience.return && !signal.aborted; waited_ms += LOOK_MS) {
    await pause(LOOK_MS, signal);
    const [stayed] = others();
    if (stayed === undefined) return "one";
    const back = connections
      .of(host.id)
      .find((one) => ![first, ...there.others].some((before) => same(one, before)));
    if (back === undefined) continue;
    for (let stood_ms = 0; stood_ms < patience.dead && !signal.aborted; stood_ms += LOOK_MS) {
      await pause(LOOK_MS, signal);
      if (!stand(stayed, back)) return "one";
    }
    if (signal.aborted) return "one";
    const how = "one of them dialled again while the other stood";
    return found(host, { first: back, others: [stayed] }, how, ports);
  }
  const [now_at] = there.others;
  if (now_at !== undefined && now_at.from !== first.from)
    ports.events.emit({
      host: host.name,
      kind: "credentials",
      severity: "info",
      what: `is connected from ${now_at.from}; before it was ${first.from}, where nobody is any more`,
    });
  return "moved";
}

const same = (one: Connection, other: Connection) => one.server === other.server && one.cid === other.cid;

type Two = { readonly first: Connection; readonly others: readonly Connection[] };

async function found(
  host: { name: string; id: string },
  { first, others }: Two,
  how: string,
  ports: JudgePorts,
): Promise<Verdict> {
  const places = [first, ...others].map(({ from }) => from).join(" and ");
  const why = `connected from ${places}: ${how}`;
  const news = await quarantine(host, why, first.from, ports);
  await closeOthers({ first, others }, first.from, ports);
  return news ? "copy" : "known";
}

/** Of two at a time the one stays that is where the first was; where both are there, or none, the older. */
async function closeOthers(there: Two | null, from: string | null, ports: JudgePorts): Promise<void> {
  if (there === null) return;
  const all = [there.first, ...there.others];
  const stays = all.find((one) => one.from === from) ?? there.first;
  await Promise.all(all.filter((one) => one !== stays).map((one) => kick(one, ports)));
}

/** How many answer to the key, as far as it matters: two. */
async function answers(id: string, { bus, patience }: JudgePorts, signal: AbortSignal): Promise<number> {
  let count = 0;
  try {
    await bus.collect(subjects.rpc(id, "ping"), PING, { timeout_ms: patience.answer, signal }, () => {
      count += 1;
      return count >= 2;
    });
  } catch (error) {
    if (!(error instanceof FleetError) || (error.code !== "TIMEOUT" && error.code !== "NO_RESPONDER"))
      throw error;
  }
  return count;
}

/** A broker that is gone has closed it in its own way. */
async function kick(one: Connection, { bus, connections }: JudgePorts): Promise<void> {
  const body = Buffer.from(JSON.stringify({ cid: one.cid }));
  try {
    await bus.request(subjects.kick(one.server), body, { timeout_ms: KICK_MS });
  } catch (error) {
    if (!(error instanceof FleetError) || (error.code !== "TIMEOUT" && error.code !== "NO_RESPONDER"))
      throw error;
  }
  connections.closed(one);
}
