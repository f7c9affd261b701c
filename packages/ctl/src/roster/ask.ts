/** Asks chosen hosts one thing and tells who answered, failed, or was silent; shared by the commands that only read. */
import { type CallResults, callMany } from "@muster/ports/call";
import type { FleetError } from "@muster/protocol/errors";
import type {
  RpcMethod,
  RpcReply,
  RpcRequest,
  StreamChunk,
  StreamEnd,
  StreamMethod,
} from "@muster/protocol/rpc/index";
import { rpcRow } from "@muster/protocol/rpc/row";
import { listText } from "../output/words.ts";
import type { Context } from "../program/context.ts";
import { openSession, type Session } from "../session/session.ts";
import { type Chosen, chooseHosts } from "./roster.ts";

export type Asked<M extends RpcMethod, R = RpcReply<M>> = {
  readonly session: Session;
  readonly answered: readonly { readonly name: string; readonly reply: R }[];
  readonly failed: readonly { readonly name: string; readonly error: FleetError }[];
  readonly silent: readonly string[];
  readonly not_enrolled: readonly string[];
};

/** Chooses by selector and asks all at once. Errors: USAGE, NOT_LOGGED_IN, those of the bus. */
export async function askHosts<M extends RpcMethod>(
  context: Context,
  selector: string,
  method: M,
  args: RpcRequest<M>,
  timeout_ms?: number,
): Promise<Asked<M>> {
  const { session, reached, connected, chosen } = await choose(context, selector, method);
  const asking = callMany(
    await reached,
    chosen.hosts.map(({ id }) => id),
    method,
    args,
    {
      signal: context.signal,
      ...(timeout_ms === undefined ? {} : { timeout_ms }),
      ...(selector === "all" && context.global.not === undefined ? { filter: {} } : {}),
    },
  );
  const [results] = await Promise.all([asking, connected]);
  return sorted(session, chosen, results);
}

async function choose(context: Context, selector: string, method: RpcMethod) {
  const { authority } = await rpcRow(method);
  const rank =
    authority === "none" || authority === "viewer" ? "viewer" : authority === "admin" ? "admin" : "operator";
  const session = await openSession(context, { rank });
  // Nothing that is asked here is held against the trust bundle; a newer one comes beside it.
  const [reached, connected] = [session.reach(), session.connect()];
  for (const each of [reached, connected]) each.catch(() => undefined);
  return { session, reached, connected, chosen: await chooseHosts(context, () => reached, selector) };
}

/**
 * Chooses as `askHosts` and reads a stream of each, all at once; `reply` is then what the end markers say. ^C stops the streams: what failed by
 * that alone is CANCELLED. Errors: as `askHosts`.
 */
export async function streamHosts<M extends StreamMethod>(
  context: Context,
  selector: string,
  method: M,
  args: RpcRequest<M>,
  heard: {
    /** Before the first chunk: who was chosen. */
    readonly on_chosen?: (names: readonly string[]) => void;
    readonly on_chunk: (name: string, chunk: StreamChunk<M>) => void | Promise<void>;
    readonly on_end?: (name: string, outcome: StreamEnd<M> | FleetError) => void;
  },
): Promise<Asked<M, StreamEnd<M>>> {
  const { session, connected, chosen } = await choose(context, selector, method);
  heard.on_chosen?.(chosen.hosts.map(({ name }) => name));
  const names = new Map(chosen.hosts.map(({ name, id }) => [id, name]));
  const nameOf = (id: string) => names.get(id) ?? id;
  const { callStreams } = await import("@muster/ports/stream-call");
  const results = await callStreams(await connected, [...names.keys()], method, args, {
    signal: context.signal,
    on_chunk: (id, chunk) => heard.on_chunk(nameOf(id), chunk),
    on_end: (id, outcome) => heard.on_end?.(nameOf(id), outcome),
  });
  return sorted<M, StreamEnd<M>>(session, chosen, results);
}

function sorted<M extends RpcMethod, R>(
  session: Session,
  chosen: Chosen,
  results: CallResults<R>,
): Asked<M, R> {
  const answered: { name: string; reply: R }[] = [];
  const failed: { name: string; error: FleetError }[] = [];
  const silent: string[] = [...chosen.unknown];
  for (const { name, id } of chosen.hosts) {
    const reply = results.answered.get(id);
    const error = results.failed.get(id);
    if (reply !== undefined) answered.push({ name, reply });
    else if (error !== undefined) failed.push({ name, error });
    else silent.push(name);
  }
  return { session, answered, failed, silent, not_enrolled: chosen.not_enrolled };
}

/** Names those who did not answer as asked. */
export function tellMissing(context: Context, asked: Omit<Asked<RpcMethod>, "answered" | "session">): void {
  const { line, colour } = context.output;
  for (const { name, error } of asked.failed) line(`${colour.red(name)}  ${error.message}`);
  if (asked.silent.length > 0) line(`${colour.red("SILENT")}  ${listText(asked.silent)}      ctl status`);
  if (asked.not_enrolled.length > 0)
    line(
      `${colour.amber("not enrolled")}  ${listText(asked.not_enrolled)}      ctl join ${asked.not_enrolled[0]}`,
    );
}

/** 0 all answered, 1 all failed, 4 some did not, 5 nobody answered. */
export function askedExit(asked: {
  answered: readonly unknown[];
  failed: readonly unknown[];
  silent: readonly unknown[];
}): number {
  const missing = asked.failed.length + asked.silent.length;
  if (missing === 0) return 0;
  if (asked.answered.length > 0) return 4;
  return asked.failed.length > 0 ? 1 : 5;
}

/** The part of the result for scripts that names who did not answer. */
export const missingJson = (asked: Omit<Asked<RpcMethod>, "answered" | "session">) => ({
  failed: Object.fromEntries(asked.failed.map(({ name, error }) => [name, error.toReply()])),
  silent: asked.silent,
  not_enrolled: asked.not_enrolled,
});
