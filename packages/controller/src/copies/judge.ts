/**
 * Two connections with one host's key: one host, or two machines? A host that was cut off and comes back by another way looks at first like a copy of it,
 * since its old connection stays open at the broker until that misses it. So nobody is judged by addresses alone:
 *
 * 1. the key is asked who is there: two answers to one question are two machines that run;
 * 2. where only one answers, the older connection is closed. A host that has moved has nobody there; whoever dials again while the other stands is a second
 *    machine, whatever it keeps silent about.
 *
 * What neither shows (a copy that connects only while its host is away) the mark shows at the next renewal of the second of the two (`enrolment/marks.ts`).
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
  /** Before each question. A guarded change makes a second connection for a moment, and one that ends is told a moment later. */
  readonly questions: readonly number[];
  readonly answer: number;
  /** Hosts dial again within 5 s; a broker that is far or busy may take longer. */
  readonly return: number;
};
export const PATIENCE: Patience = {
  questions: [500, 1_000, 2_000, 3_000, 4_000],
  answer: 1_500,
  return: 45_000,
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
  for (const wait_ms of patience.questions) {
    await pause(wait_ms, signal);
    const there = two();
    if (there === null || signal.aborted) return "one";
    if ((await answers(host.id, ports, signal)) < 2) continue;
    return found(host, there, "two answer at once", ports);
  }
  const there = two();
  if (there === null) return "one";
  await kick(there.first, ports);
  for (let waited_ms = 0; waited_ms < patience.return && !signal.aborted; waited_ms += LOOK_MS) {
    await pause(LOOK_MS, signal);
    const open = connections.of(host.id);
    const stayed = open.find((one) => there.others.some((other) => same(one, other)));
    if (stayed === undefined) return "one";
    const back = open.find((one) => ![there.first, ...there.others].some((before) => same(one, before)));
    if (back !== undefined)
      return found(
        host,
        { first: back, others: [stayed] },
        "one of them dialled again while the other stood",
        ports,
      );
  }
  const [now_at] = there.others;
  if (now_at !== undefined && now_at.from !== there.first.from)
    ports.events.emit({
      host: host.name,
      kind: "credentials",
      severity: "info",
      what: `is connected from ${now_at.from}; before it was ${there.first.from}, where nobody is any more`,
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
