/** `ctl join --ssh`: many servers at once, each told as it comes; one that fails holds up no other. */
import { setTimeout as sleep } from "node:timers/promises";
import { callOne } from "@muster/ports/call";
import { FleetError } from "@muster/protocol/errors";
import type { HostView } from "@muster/protocol/record";
import { errorLines } from "../output/error.ts";
import { durationText } from "../output/words.ts";
import { EXIT } from "../program/command.ts";
import type { Context } from "../program/context.ts";
import { hostViews } from "../roster/roster.ts";
import type { Connection } from "../session/session.ts";
import { type Arrival, type Joined, joinedOf, joinedText } from "./joined.ts";
import { agentSays, bringIn, leadTo, lookAt } from "./over-ssh.ts";
import type { Target } from "./targets.ts";

/** Each has a copy of the package under way. */
const AT_ONCE = 8;
const JOIN_MS = 60_000;
/** The first look at BIRD follows soon after the joining. */
const SAMPLE_MS = 10_000;
const POLL_MS = 500;
const PING_MS = 3_000;

export type Order = {
  readonly targets: readonly Target[];
  /** Asked for when the first server turns out to need it; undefined `always` brings it only where none is. */
  deb(): Promise<Uint8Array>;
  readonly always: boolean;
  /** Where the brokers are, for hosts that are in and do not find them. */
  readonly fleet_string: string;
  string(name: string): Promise<string>;
};

type Row = {
  readonly name: string;
  readonly state: Arrival["state"] | "failed";
  readonly took_ms: number;
  readonly found: Joined | null;
  readonly error: FleetError | null;
};

/** Exit code: 0 all are in, 4 some, 1 none. */
export async function bringAll(context: Context, connection: Connection, order: Order): Promise<number> {
  const { output } = context;
  const views = watchViews(context, connection);
  const width = Math.max(...order.targets.map(({ name }) => name.length)) + 2;
  const progress = output.progress(`${order.targets.length} servers over ssh`);
  const waiting = [...order.targets];
  const rows: Row[] = [];
  const worker = async (): Promise<void> => {
    for (let target = waiting.shift(); target !== undefined; target = waiting.shift()) {
      const row = await bringOne(context, connection, order, target, views);
      rows.push(row);
      progress.update(`${order.targets.length - rows.length} servers still to come`);
      tell(context, row, width);
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, waiting.length) }, worker)).finally(() =>
    progress.done(),
  );
  output.json({
    hosts: rows.map(({ error, found, ...row }) => ({ ...row, ...found, error: error?.message ?? null })),
  });
  const failed = rows.filter(({ state }) => state === "failed").length;
  if (failed === 0) return EXIT.done;
  return failed === rows.length ? EXIT.failed : EXIT.partly;
}

async function bringOne(
  context: Context,
  connection: Connection,
  order: Order,
  target: Target,
  views: Views,
): Promise<Row> {
  const { name } = target;
  const began = performance.now();
  const took = () => performance.now() - began;
  try {
    const known = (await views()).get(name);
    if (known !== undefined) {
      const on_bus = await answers(connection, known);
      if (!on_bus) await bringBack(context, connection, order, target, known);
      const state = on_bus ? "already" : "back";
      return { name, state, took_ms: took(), found: joinedOf(known), error: null };
    }
    const found = await lookAt(target, context.asking);
    if (found === "joined") {
      throw new FleetError(
        "CONFLICT",
        `${name}: its agent is in another fleet, or under another name: on it, muster-agent status`,
      );
    }
    const deb = order.always || found === "bare" ? await order.deb() : null;
    await bringIn(target, await order.string(name), deb, context.asking);
    const view = await arrived(context, target, views);
    return { name, state: "joined", took_ms: took(), found: joinedOf(view), error: null };
  } catch (error) {
    if (!(error instanceof FleetError) || error.code === "CANCELLED") throw error;
    return { name, state: "failed", took_ms: took(), found: null, error };
  }
}

/** Whether it is on the bus now: telemetry that stays away shows it only after a while. */
async function answers(connection: Connection, { record }: HostView): Promise<boolean> {
  try {
    await callOne(connection, record.id, "ping", {}, { timeout_ms: PING_MS });
    return true;
  } catch (error) {
    if (error instanceof FleetError && (error.code === "NO_RESPONDER" || error.code === "TIMEOUT"))
      return false;
    throw error;
  }
}

/** A host that is in, and looks for the brokers where they are no more. */
async function bringBack(
  context: Context,
  connection: Connection,
  order: Order,
  target: Target,
  known: HostView,
): Promise<void> {
  const { name } = target;
  if ((await lookAt(target, context.asking)) !== "joined") {
    throw new FleetError(
      "CONFLICT",
      `${name} is in the fleet, and the machine at ${target.address} has not its keys: another machine, or a new installation`,
    );
  }
  await leadTo(target, order.fleet_string, context.asking);
  const began = performance.now();
  while (!(await answers(connection, known))) {
    if (performance.now() - began > JOIN_MS) {
      const says = await agentSays(target, context.asking);
      throw new FleetError("FAILED", `${name} did not come back in ${durationText(JOIN_MS)}: ${says}`);
    }
    await sleep(POLL_MS, undefined, { signal: context.asking });
  }
}

/** Waits until the controllers know it, and a moment more for its first look at BIRD. */
async function arrived(context: Context, target: Target, views: Views): Promise<HostView> {
  const began = performance.now();
  let since: number | undefined;
  for (;;) {
    const view = (await views()).get(target.name);
    if (view !== undefined) {
      since ??= performance.now();
      if (view.bgp !== null || performance.now() - since > SAMPLE_MS) return view;
    } else if (performance.now() - began > JOIN_MS) {
      const says = await agentSays(target, context.asking);
      throw new FleetError("FAILED", `${target.name} did not join in ${durationText(JOIN_MS)}: ${says}`);
    }
    await sleep(POLL_MS, undefined, { signal: context.asking });
  }
}

type Views = () => Promise<ReadonlyMap<string, HostView>>;

/** One question at a time, however many wait for the answer. */
function watchViews(context: Context, connection: Connection): Views {
  let asked: Promise<ReadonlyMap<string, HostView>> | undefined;
  return () => {
    asked ??= hostViews(connection)
      .then(({ views }) => views)
      .finally(() => {
        asked = undefined;
      });
    context.asking.throwIfAborted();
    return asked;
  };
}

function tell({ output }: Context, row: Row, width: number): void {
  const title = row.name.padEnd(width);
  if (row.error !== null) {
    const [first = "", ...rest] = errorLines(row.error, output.colour);
    output.line(`${title}${first}`);
    for (const line of rest) output.line(`${" ".repeat(width)}${line}`);
  } else if (row.found !== null && row.state !== "failed") {
    output.line(`${title}${joinedText(row.found, { state: row.state, took_ms: row.took_ms })}`);
  }
}
