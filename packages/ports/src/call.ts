/**
 * The calling side of `dispatch.ts`: signs a command, sends it to one or many, reads the replies by the method's row. A host whose clock is
 * off answers with a challenge, which is signed and sent once more. A fan-out says of everybody asked who answered, failed, or was silent.
 */
import type { EnvelopeSigner } from "@muster/protocol";
import type { ControlMethod, ControlReply, ControlRequest } from "@muster/protocol/control/index";
import { controlRow } from "@muster/protocol/control/row";
import { seal } from "@muster/protocol/envelope";
import { FleetError, parse, parseJson } from "@muster/protocol/errors";
import type { Filter, RpcBody, RpcMethod, RpcReply, RpcRequest } from "@muster/protocol/rpc/index";
import { type Method, Reply } from "@muster/protocol/rpc/method";
import { rpcRow } from "@muster/protocol/rpc/row";
import { subjects } from "@muster/protocol/subjects";
import type { Bus, BusMessage } from "./bus.ts";

/** Above this many hosts one broadcast is sent, where a filter says whom it is for. */
export const TARGETED_LIMIT = 256;
const RESEND_LIMIT_MS = 5_000;

/** Who calls. Without a signer only methods of authority `none` are answered. */
export type Caller = {
  readonly bus: Pick<Bus, "request" | "gather" | "gatherBroadcast">;
  readonly signer: EnvelopeSigner | null;
  readonly now: () => number;
};

export type CallOptions = { readonly timeout_ms?: number; readonly signal?: AbortSignal };

export type CallResults<R> = {
  readonly answered: ReadonlyMap<string, R>;
  readonly failed: ReadonlyMap<string, FleetError>;
  /** Asked and not heard of: offline, or too slow. */
  readonly silent: readonly string[];
  /** Those of `silent` of whom the broker said at once that nobody is there. */
  readonly absent: readonly string[];
};

type Outgoing = { readonly body: Uint8Array; readonly headers?: Readonly<Record<string, string>> };

function outgoing(caller: Caller, logical: string, body: RpcBody, nonce?: string): Outgoing {
  const bytes = Buffer.from(JSON.stringify(body));
  if (caller.signer === null) return { body: bytes };
  const { headers } = seal(logical, bytes, caller.signer, caller.now(), nonce);
  return { body: bytes, headers };
}

function read(message: BusMessage, what: string): Reply {
  return parseJson(Reply, message.body, `reply to ${what}`);
}

/** Asks on one logical subject, which is also the subject on the wire, and answers a challenge. Errors: those of the bus and of the reply. */
async function ask(
  caller: Caller,
  row: Method,
  subject: string,
  args: unknown,
  options: CallOptions,
): Promise<unknown> {
  const body = { v: 1, args } as RpcBody;
  const timeout_ms = options.timeout_ms ?? row.timeout_ms;
  const limits = { timeout_ms, ...(options.signal === undefined ? {} : { signal: options.signal }) };
  const send = async (nonce?: string) => {
    const { body: bytes, headers } = outgoing(caller, subject, body, nonce);
    const extra = headers === undefined ? limits : { ...limits, headers };
    return read(await caller.bus.request(subject, bytes, extra), subject);
  };
  let reply = await send();
  if ("error" in reply && reply.challenge !== undefined && caller.signer !== null) {
    reply = await send(reply.challenge);
  }
  if ("error" in reply) throw FleetError.fromReply(reply.error);
  return parse(row.reply, reply.ok, `reply to ${subject}`);
}

/** Calls one host by its id. Errors: as the bus' `request`, and what the host answered. */
export async function callOne<M extends RpcMethod>(
  caller: Caller,
  id: string,
  method: M,
  args: RpcRequest<M>,
  options: CallOptions = {},
): Promise<RpcReply<M>> {
  const row: Method = await rpcRow(method);
  return ask(caller, row, subjects.rpc(id, method), args, options) as Promise<RpcReply<M>>;
}

/** Calls a controller. Errors: NO_RESPONDER when there is none, and as `callOne`. */
export async function callController<M extends ControlMethod>(
  caller: Caller,
  method: M,
  args: ControlRequest<M>,
  options: CallOptions = {},
): Promise<ControlReply<M>> {
  const row: Method = await controlRow(method);
  return ask(caller, row, subjects.ctl(method), args, options) as Promise<ControlReply<M>>;
}

/**
 * Calls many hosts and returns as soon as everyone asked has answered, at the latest after `timeout_ms` (the row's by default; hosts whose
 * clock is off get up to 5 s more). Each gets a message. With a `filter` that says the same as `ids` (by group; `{}` is everybody), more than
 * 256 hosts get one broadcast instead. Ids are never sent to all: each host would read the list of all the others, N² in bytes (measured at
 * 1,000 hosts: five times as long as a message each). `on_reply` hears each answer as it comes. `read` takes a reply instead of the row's schema, where a caller
 * reads what many say alike but once; its errors are those of `parse`.
 * Errors: BUS_UNREACHABLE when the connection goes, CANCELLED.
 */
export async function callMany<M extends RpcMethod>(
  caller: Caller,
  ids: readonly string[],
  method: M,
  args: RpcRequest<M> | ((id: string) => RpcRequest<M>),
  options: CallOptions & {
    filter?: Filter;
    on_reply?: (id: string, reply: RpcReply<M> | FleetError) => void;
    read?: (reply: unknown, what: string) => RpcReply<M>;
  } = {},
): Promise<CallResults<RpcReply<M>>> {
  const row: Method = await rpcRow(method);
  // What anybody may ask is not signed: nobody would look at it, and it costs 50 µs a host.
  const sender: Caller = row.authority === "none" ? { ...caller, signer: null } : caller;
  const asked = [...new Set(ids)];
  const readReply = options.read ?? ((reply, what) => parse(row.reply, reply, what) as RpcReply<M>);
  const answered = new Map<string, RpcReply<M>>();
  const failed = new Map<string, FleetError>();
  const challenged = new Map<string, string>();
  const limits = {
    timeout_ms: options.timeout_ms ?? row.timeout_ms,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  };

  const take = (id: string, message: BusMessage, again: boolean) => {
    let outcome: RpcReply<M> | FleetError;
    try {
      const reply = read(message, `${method} by ${id}`);
      if ("error" in reply) {
        if (!again && reply.challenge !== undefined && caller.signer !== null) {
          challenged.set(id, reply.challenge);
          return;
        }
        outcome = FleetError.fromReply(reply.error);
      } else {
        outcome = readReply(reply.ok, `reply to ${method}`);
      }
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      outcome = error;
    }
    if (outcome instanceof FleetError) failed.set(id, outcome);
    else answered.set(id, outcome);
    options.on_reply?.(id, outcome);
  };
  const argsOf = (id: string) => (typeof args === "function" ? args(id) : args);
  const targeted = (id: string, nonce?: string) => ({
    key: id,
    subject: subjects.rpc(id, method),
    ...outgoing(sender, subjects.rpc(id, method), { v: 1, args: argsOf(id) } as RpcBody, nonce),
  });

  const absent = new Set<string>();
  if (options.filter === undefined || asked.length <= TARGETED_LIMIT || typeof args === "function") {
    const gathered = await caller.bus.gather(
      asked.map((id) => targeted(id)),
      { ...limits, on_answer: (id, message) => take(id, message, false) },
    );
    for (const id of gathered.absent) absent.add(id);
  } else {
    const subject = subjects.rpcAll(method);
    const body = { v: 1, filter: options.filter, args } as RpcBody;
    await caller.bus.gatherBroadcast(
      { subject, ...outgoing(sender, subject, body) },
      {
        ...limits,
        expected: asked,
        on_answer: (id, message) => take(id, message, false),
      },
    );
  }
  if (challenged.size > 0) {
    await caller.bus.gather(
      [...challenged].map(([id, nonce]) => targeted(id, nonce)),
      {
        ...limits,
        timeout_ms: Math.min(limits.timeout_ms, RESEND_LIMIT_MS),
        on_answer: (id, message) => take(id, message, true),
      },
    );
  }
  const silent = asked.filter((id) => !answered.has(id) && !failed.has(id));
  return { answered, failed, silent, absent: silent.filter((id) => absent.has(id)) };
}
