/**
 * The one dispatcher of commands, for agents (`rpc.<id>.*`, `rpc.all.*`) and controllers (`ctl.*`). For each message: is it for us (filter),
 * may the signer (authority of the method's row, then the policy hook), is it fresh (window, nonce, challenge), is it well formed;
 * then the handler, and one reply `{ok}` or `{error, challenge?}`. No handler sees a request that did not pass all of these.
 */
import { randomBytes } from "node:crypto";
import type { CommandMemory, Principal, Verifier } from "@muster/protocol";
import { auditBy } from "@muster/protocol/audit";
import { sha256 } from "@muster/protocol/canonical";
import { permits } from "@muster/protocol/certificate";
import { HEADER, openCommand } from "@muster/protocol/envelope";
import { FleetError, parse, parseJson } from "@muster/protocol/errors";
import { type Filter, fits, type Method, RpcBody } from "@muster/protocol/rpc/index";
import type { z } from "zod";
import { type AuditDoor, askerOf, entryOf, summed } from "./audit.ts";
import type { Bus, BusMessage } from "./bus.ts";
import { processMemory } from "./nonces.ts";

export type MethodTable = Readonly<Record<string, Method>>;

/** What a handler knows of its call. `principal` is null only where the row's authority is `none`. */
export type Call = {
  readonly method: string;
  readonly principal: Principal | null;
  readonly signed_at_ms: number | null;
  /** Whom the answer goes to, as `askerOf` tells it. */
  readonly from: string;
  /** Aborts when the method's time is up or the server ends. */
  readonly signal: AbortSignal;
  /** Of what goes on after the answer: takes over from the dispatcher to say in the audit how it ended, in a few words; `error` null = as it should. */
  readonly endsLater?: () => (words: string, error: FleetError | null) => void;
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
  readonly bus: Pick<Bus, "subscribe" | "respond" | "respondAs">;
  readonly table: T;
  readonly handlers: Handlers<T>;
  readonly routes: readonly Route[];
  /** Asked at every call, so that a newer trust bundle counts at once; null = no bundle yet, and nothing signed is taken. */
  verifier(): Verifier | null;
  /**
   * Where nothing is signed: who stands behind a message on this subject, by what the broker lets its sender alone ask on. Throws NOT_ALLOWED for nobody.
   * Absent: what needs authority is signed.
   */
  readonly vouched?: (subject: string) => Promise<Principal>;
  readonly now: () => number;
  /** This host, for filters and as the answerer of broadcasts; null for controllers: a filter is then refused. */
  readonly self?: () => { id: string; groups: readonly string[]; labels: Readonly<Record<string, string>> };
  /** Throws NOT_ALLOWED for what the signer's authority allows and the local policy does not. */
  readonly policy?: (principal: Principal, method: string, args: unknown) => void;
  /** Nonces and challenges; default: in memory, from now on. */
  readonly memory?: CommandMemory;
  /** Hears of every call that was carried out or refused; of what acts before it is done, which waits for it. */
  readonly audit?: AuditDoor;
  /** Hears every call that was carried out or refused, for the log. `error` is null when it went well. */
  readonly on_done?: (call: { method: string; by: string | null; error: unknown; took_ms: number }) => void;
  readonly concurrency?: number;
};

/** Answers commands until the signal aborts. */
export function serve<T extends MethodTable>(options: DispatchOptions<T>, signal: AbortSignal): void {
  const guard: Guard = {
    memory: options.memory ?? processMemory(options.now),
    sum: options.audit === undefined ? () => undefined : summed(options.audit, signal),
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
  readonly memory: CommandMemory;
  /** Tells the audit what may be alike in one record. */
  readonly sum: AuditDoor["tell"];
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
  let told: Told | null = null;
  let failure: unknown = null;
  let later = false;
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
    told = { row, by: null, target: route.logical(name), began: null, passed: false };
    const opened = await authorise(options, guard, row, route.logical(name), message);
    by = opened?.principal.name ?? null;
    told = { ...told, by: opened?.principal ?? null };
    const args = parse(row.request, body.args, `request ${name}`);
    const words = row.told?.(args);
    if (words !== undefined) told = { ...told, target: `${told.target}: ${words}` };
    if (opened !== null) options.policy?.(opened.principal, name, args);
    if (row.audited === "acts") told = { ...told, began: await tellBegun(options, told, name, message) };
    told = { ...told, passed: true };
    const result = await within(guard, signal, name, row.timeout_ms, (limited) => {
      const call: Call = {
        method: name,
        principal: opened?.principal ?? null,
        signed_at_ms: opened?.signed_at_ms ?? null,
        from: askerOf(message.reply),
        signal: limited,
        endsLater() {
          later = true;
          return (words, error) => {
            if (told !== null)
              tellEnd(options, guard, { ...told, target: `${told.target}: ${words}` }, name, message, error);
          };
        },
      };
      return handler(args, call);
    });
    const checked = row.reply.safeParse(result);
    if (!checked.success)
      throw new TypeError(`handler of ${name} answers what its row does not allow: ${checked.error}`);
    reply = { ok: checked.data };
  } catch (error) {
    failure = error;
    reply = await refusal(error, guard);
  }
  if (!later || failure !== null) tellEnd(options, guard, told, name, message, failure);
  respond(options, message, reply);
  options.on_done?.({ method: name, by, error: failure, took_ms: performance.now() - began });
}

function isMeant<T extends MethodTable>(options: DispatchOptions<T>, filter: Filter | undefined): boolean {
  if (filter === undefined) return true;
  if (options.self === undefined) throw new FleetError("INVALID", "a filter is for hosts");
  return fits(filter, options.self());
}

/** What the audit knows of a call so far. `began`: the record that says so. */
type Told = {
  readonly row: Method;
  readonly by: Principal | null;
  readonly target: string;
  readonly began: number | null;
  /** It was handed to its handler. */
  readonly passed: boolean;
};

function noteOf<T extends MethodTable>(
  options: DispatchOptions<T>,
  { row, by, target }: Pick<Told, "row" | "by" | "target">,
  name: string,
  message: BusMessage,
) {
  return {
    at: options.now(),
    kind: "command" as const,
    by: auditBy(by),
    from: askerOf(message.reply),
    what: name.slice(0, 64),
    target: target.slice(0, 500),
    // The whole signed body: it may hold secrets, and its hash proves which one it was.
    args: sha256(message.body),
    authority: row.authority,
  };
}

async function tellBegun<T extends MethodTable>(
  options: DispatchOptions<T>,
  told: Told,
  name: string,
  message: BusMessage,
): Promise<number | null> {
  if (options.audit === undefined) return null;
  return options.audit.before(entryOf({ ...noteOf(options, told, name, message), result: "begun" }));
}

function tellEnd<T extends MethodTable>(
  options: DispatchOptions<T>,
  guard: Guard,
  told: Told | null,
  name: string,
  message: BusMessage,
  failure: unknown,
): void {
  const { audit } = options;
  // Of what has no form, names no method or is for others there is nothing to tell but noise.
  if (audit === undefined || told === null) return;
  const { row, began, passed } = told;
  const code = failure === null ? null : failure instanceof FleetError ? failure.code : ("FAILED" as const);
  const note = noteOf(options, told, name, message);
  if (began !== null)
    audit.tell(entryOf({ ...note, result: code === null ? "done" : "failed", code, of: began }));
  else if (code !== null) guard.sum(entryOf({ ...note, result: passed ? "failed" : "refused", code }));
  else if (row.audited === "sums") guard.sum(entryOf({ ...note, result: "done" }));
}

type Authorised = { readonly principal: Principal; readonly signed_at_ms: number | null };

async function authorise<T extends MethodTable>(
  options: DispatchOptions<T>,
  guard: Guard,
  row: Method,
  logical: string,
  message: BusMessage,
): Promise<Authorised | null> {
  if (row.authority === "none") return null;
  const verifier = options.verifier();
  if (verifier === null) throw new FleetError("BAD_CERTIFICATE", "there is no trust bundle here yet");
  if (options.vouched !== undefined) {
    const principal = await options.vouched(message.subject);
    if (verifier.voided(principal, options.now())) throw new FleetError("VOIDED", principal.name);
    if (!permits(row.authority, principal.rank))
      throw new FleetError(
        "NOT_ALLOWED",
        `${principal.name} is ${principal.rank}, this needs ${row.authority}`,
      );
    return { principal, signed_at_ms: null };
  }
  if (message.headers[HEADER.signature] === undefined)
    throw new FleetError("UNSIGNED", `${logical} needs ${row.authority}`);
  return openCommand(logical, { headers: message.headers, body: message.body }, verifier, row.authority, {
    now_ms: options.now(),
    memory: guard.memory,
    acts: row.audited !== "sums",
    signs_release: row.for_ci,
  });
}

async function refusal(error: unknown, guard: Guard): Promise<unknown> {
  if (error instanceof FleetError) {
    if (error.code !== "CLOCK_SKEW") return { error: error.toReply() };
    // A challenge is only given to who signed well: CLOCK_SKEW comes after certificate and signature were checked.
    try {
      return { error: error.toReply(), challenge: await guard.memory.give() };
    } catch (cause) {
      if (!(cause instanceof FleetError)) throw cause;
      return { error: error.toReply() };
    }
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
  const { bus } = options;
  // Of a broadcast everybody who hears it knows the inbox: who answers is told by a subject that is its own.
  const id = message.subject.startsWith(BROADCAST) ? options.self?.().id : undefined;
  const send = (value: unknown) => {
    const body = Buffer.from(JSON.stringify(value));
    return id === undefined ? bus.respond(message, body) : bus.respondAs(id, message, body);
  };
  try {
    send(reply);
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    // The connection went while we worked: nobody waits any more.
    if (error.code !== "TOO_LARGE") return;
    send({ error: new FleetError("TOO_LARGE", "the answer does not fit into one message").toReply() });
  }
}

const BROADCAST = "rpc.all.";

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
