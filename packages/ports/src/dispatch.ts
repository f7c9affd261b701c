/**
 * The one dispatcher of commands, for agents (`rpc.<id>.*`, `rpc.all.*`) and controllers (`ctl.*`). For each message: is it for us (filter),
 * may the signer (authority of the method's row, then the policy hook), is it fresh (window, nonce, challenge), is it well formed;
 * then the handler, and one reply `{ok}` or `{error, challenge?}`. No handler sees a request that did not pass all of these.
 */
import { randomBytes } from "node:crypto";
import type { Opened, Principal, Verifier } from "@muster/protocol";
import { HEADER, openCommand } from "@muster/protocol/envelope";
import { FleetError, parse, parseJson } from "@muster/protocol/errors";
import { type Filter, fits, type Method, RpcBody } from "@muster/protocol/rpc/index";
import type { z } from "zod";
import type { Bus, BusMessage } from "./bus.ts";
import { challenges, memoryNonces } from "./nonces.ts";

/** Names who answers a broadcast; in an answer to `rpc.<id>.…` the subject alone says it. */
export const RESPONDER_HEADER = "Muster-Host";

export type MethodTable = Readonly<Record<string, Method>>;

/** What a handler knows of its call. `principal` is null only where the row's authority is `none`. */
export type Call = {
  readonly method: string;
  readonly principal: Principal | null;
  readonly signed_at_ms: number | null;
  /** Aborts when the method's time is up or the server ends. */
  readonly signal: AbortSignal;
};

export type Handlers<T extends MethodTable> = {
  readonly [M in keyof T]: (
    args: z.output<T[M]["request"]>,
    call: Call,
  ) => Promise<z.input<T[M]["reply"]>> | z.input<T[M]["reply"]>;
};

/** One subscription. Its last token is the method; `logical` is the subject that a signer of that method signs. */
export type Route = {
  readonly pattern: string;
  readonly queue?: string;
  logical(method: string): string;
};

export type DispatchOptions<T extends MethodTable> = {
  readonly bus: Pick<Bus, "subscribe" | "respond">;
  readonly table: T;
  readonly handlers: Handlers<T>;
  readonly routes: readonly Route[];
  /** Asked at every call, so that a newer trust bundle counts at once; null = no bundle yet, and nothing signed is taken. */
  verifier(): Verifier | null;
  readonly now: () => number;
  /** This host, for filters and as the answerer of broadcasts; null for controllers: a filter is then refused. */
  readonly self?: () => { id: string; groups: readonly string[]; labels: Readonly<Record<string, string>> };
  /** Throws NOT_ALLOWED for what the signer's authority allows and the local policy does not. */
  readonly policy?: (principal: Principal, method: string, args: unknown) => void;
  /**
   * What was signed before this is only taken with a challenge: nonces live in memory, so a restarted program could not tell a
   * replay from a late command. Default: when `serve` is called.
   */
  readonly signed_from_ms?: number;
  /** Hears every call that was carried out or refused, for audit and log. `error` is null when it went well. */
  readonly on_done?: (call: { method: string; by: string | null; error: unknown; took_ms: number }) => void;
  readonly concurrency?: number;
};

/** Answers commands until the signal aborts. */
export function serve<T extends MethodTable>(options: DispatchOptions<T>, signal: AbortSignal): void {
  const guard: Guard = {
    nonces: memoryNonces(options.now),
    challenges: challenges(options.now),
    signed_from_ms: options.signed_from_ms ?? options.now(),
    running: new Set(),
  };
  const endAll = () => {
    for (const life of guard.running) life.abort(signal.reason);
  };
  signal.addEventListener("abort", endAll, { once: true });
  for (const route of options.routes) {
    const end = options.bus.subscribe(
      route.pattern,
      {
        ...(route.queue === undefined ? {} : { queue: route.queue }),
        concurrency: options.concurrency ?? 16,
        pending_limit: 1_024,
      },
      (message) => answer(options, guard, route, message, signal),
    );
    if (signal.aborted) end();
    else signal.addEventListener("abort", end, { once: true });
  }
}

type Guard = {
  readonly nonces: ReturnType<typeof memoryNonces>;
  readonly challenges: ReturnType<typeof challenges>;
  readonly signed_from_ms: number;
  /** The calls that are being carried out: all end with the server. */
  readonly running: Set<AbortController>;
};

async function answer<T extends MethodTable>(
  options: DispatchOptions<T>,
  guard: Guard,
  route: Route,
  message: BusMessage,
  signal: AbortSignal,
): Promise<void> {
  const began = performance.now();
  const name = message.subject.slice(message.subject.lastIndexOf(".") + 1);
  let by: string | null = null;
  let failure: unknown = null;
  let reply: unknown;
  try {
    const row = Object.hasOwn(options.table, name) ? options.table[name] : undefined;
    // The handler that stands under this name takes what this row's schema gives: `Handlers` says so.
    const handler = Object.hasOwn(options.handlers, name)
      ? (options.handlers[name] as ((args: unknown, call: Call) => unknown) | undefined)
      : undefined;
    if (row === undefined || handler === undefined) {
      throw new FleetError(
        "NOT_FOUND",
        `no method ${name.slice(0, 64)}; there are ${Object.keys(options.table).join(", ")}`,
      );
    }
    const body = parseJson(RpcBody, message.body, `request ${name}`);
    if (!isMeant(options, body.filter)) return;
    const opened = authorise(options, guard, row, route.logical(name), message);
    by = opened?.principal.name ?? null;
    const args = parse(row.request, body.args, `request ${name}`);
    if (opened !== null) options.policy?.(opened.principal, name, args);
    const result = await within(guard, signal, name, row.timeout_ms, (limited) => {
      const call: Call = {
        method: name,
        principal: opened?.principal ?? null,
        signed_at_ms: opened?.signed_at_ms ?? null,
        signal: limited,
      };
      return handler(args, call);
    });
    const checked = row.reply.safeParse(result);
    if (!checked.success)
      throw new TypeError(`handler of ${name} answers what its row does not allow: ${checked.error}`);
    reply = { ok: checked.data };
  } catch (error) {
    failure = error;
    reply = refusal(error, guard);
  }
  respond(options, message, reply);
  options.on_done?.({ method: name, by, error: failure, took_ms: performance.now() - began });
}

function isMeant<T extends MethodTable>(options: DispatchOptions<T>, filter: Filter | undefined): boolean {
  if (filter === undefined) return true;
  if (options.self === undefined) throw new FleetError("INVALID", "a filter is for hosts");
  return fits(filter, options.self());
}

function authorise<T extends MethodTable>(
  options: DispatchOptions<T>,
  guard: Guard,
  row: Method,
  logical: string,
  message: BusMessage,
): Opened | null {
  if (row.authority === "none") return null;
  const verifier = options.verifier();
  if (verifier === null) throw new FleetError("BAD_CERTIFICATE", "there is no trust bundle here yet");
  if (message.headers[HEADER.signature] === undefined)
    throw new FleetError("UNSIGNED", `${logical} needs ${row.authority}`);
  let challenged = false;
  const opened = openCommand(
    logical,
    { headers: message.headers, body: message.body },
    verifier,
    row.authority,
    {
      now_ms: options.now(),
      nonces: guard.nonces,
      challenge: (nonce) => {
        challenged = guard.challenges.take(nonce);
        return challenged;
      },
      signs_release: row.for_ci,
    },
  );
  if (!challenged && opened.signed_at_ms < guard.signed_from_ms) {
    throw new FleetError(
      "CLOCK_SKEW",
      "signed before this program started, when its memory of commands began",
    );
  }
  return opened;
}

function refusal(error: unknown, guard: Guard): unknown {
  if (error instanceof FleetError) {
    // A challenge is only given to who signed well: CLOCK_SKEW comes after certificate and signature were checked.
    return error.code === "CLOCK_SKEW"
      ? { error: error.toReply(), challenge: guard.challenges.give() }
      : { error: error.toReply() };
  }
  return {
    error: { code: "FAILED", detail: "a mistake in the program that answers; its log has the stack" },
  };
}

function respond<T extends MethodTable>(
  options: DispatchOptions<T>,
  message: BusMessage,
  reply: unknown,
): void {
  const headers = options.self === undefined ? undefined : { [RESPONDER_HEADER]: options.self().id };
  try {
    options.bus.respond(message, Buffer.from(JSON.stringify(reply)), headers);
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    // The connection went while we worked: nobody waits any more.
    if (error.code !== "TOO_LARGE") return;
    const small = {
      error: new FleetError("TOO_LARGE", "the answer does not fit into one message").toReply(),
    };
    options.bus.respond(message, Buffer.from(JSON.stringify(small)), headers);
  }
}

/**
 * Runs `work` with a signal that aborts when its time is up or the server ends; rejects then, whatever `work` does with it. Not made of
 * AbortSignal.any and .timeout: these cost as much as all the rest of a call, and leave a timer behind for each.
 */
async function within<R>(
  guard: Guard,
  signal: AbortSignal,
  name: string,
  limit_ms: number,
  work: (limited: AbortSignal) => R | Promise<R>,
): Promise<R> {
  const life = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  try {
    guard.running.add(life);
    if (signal.aborted) life.abort(signal.reason);
    const result = work(life.signal);
    if (!(result instanceof Promise)) return result;
    const late = new Promise<never>((_, reject) => {
      const stop = () => reject(new FleetError("TIMEOUT", `${name} took longer than ${limit_ms} ms`));
      if (life.signal.aborted) stop();
      life.signal.addEventListener("abort", stop, { once: true });
      timer = setTimeout(
        () => life.abort(new DOMException("the time of the call is up", "TimeoutError")),
        limit_ms,
      );
    });
    return await Promise.race([result, late]);
  } finally {
    clearTimeout(timer);
    guard.running.delete(life);
  }
}

/** 128 random bits as 32 hexadecimal digits. */
export const randomId = () => randomBytes(16).toString("hex");
