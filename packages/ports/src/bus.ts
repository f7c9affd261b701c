/**
 * Port to NATS: a bus that stays. It dials until its signal aborts, with full jitter and fresh credentials each time,
 * and takes its subscriptions along from connection to connection. What was published while there was no connection is
 * not kept: the caller hears so at once. Requests: bus-requests.ts; what streams hold: bus-stored.ts and bus-kv.ts.
 */
import { FleetError } from "@muster/protocol/errors";
import { answerSubject } from "@muster/protocol/subjects";
import type { BusCredentials, BusMessage, BusServer } from "./bus-link.ts";
import { type Ask, type BusRequests, busRequests } from "./bus-requests.ts";
import { BusState } from "./bus-state.ts";
import { type BusStored, busStored } from "./bus-stored.ts";
import { filterSubject, parseServer, plainSubject } from "./bus-subjects.ts";
import type { Handler, SubscribeOptions, SubscriptionReport } from "./bus-subscription.ts";

export type { BusCredentials, BusMessage } from "./bus-link.ts";
export type { Gathered, GatherTarget } from "./bus-requests.ts";
export type { KeyValue, KeyValueEntry, StoredMessage } from "./bus-stored.ts";
export { storedAt } from "./bus-stored.ts";
export type { Handler, SubscribeOptions } from "./bus-subscription.ts";

export type BusOptions = {
  /**
   * `host:port`, `[IPv6]:port`, a port of 4222 may be left out; tried in an order that is shuffled at every round. A function is asked before each
   * round: brokers move.
   */
  readonly servers: readonly string[] | (() => readonly string[]);
  /** The only CA that a broker's certificate may come from. Without it there is no TLS: for tests on loopback. */
  readonly ca_pem?: string;
  /** What the certificate must be for, where the address says otherwise. */
  readonly server_name?: string;
  /** TLS from the first byte, before the broker says anything. The broker must be set to it too. */
  readonly handshake_first?: boolean;
  /** Shown in the broker's connection list. */
  readonly name: string;
  /** Answers to our requests come below this, e.g. `_INBOX_<id>`. */
  readonly inbox_prefix: string;
  /** Asked before every dial, so that a renewed JWT is used. None, or null: the broker's default account (ENROL). */
  readonly credentials?: () => BusCredentials | null | Promise<BusCredentials | null>;
  readonly connect_timeout_ms?: number;
  /** A dial after a lost connection or a failed round waits between 0 and this. */
  readonly reconnect_max_ms?: number;
  readonly ping_interval_ms?: number;
  /** `retry` (daemons): dials until the signal aborts. `once` (commands): one round over the servers, then the error. */
  readonly first_connect?: "retry" | "once";
  /** Hears every event from the beginning; `onStatus` can only be used once there is a bus. */
  readonly on_status?: (event: BusEvent) => void;
};

export type BusEvent =
  | { readonly type: "connected" | "reconnected"; readonly server: string }
  | { readonly type: "disconnected"; readonly server: string; readonly error: FleetError }
  /** A round over all servers failed; the next comes after `next_ms`. */
  | { readonly type: "unreachable" | "auth_failed"; readonly error: FleetError; readonly next_ms: number }
  | { readonly type: "denied"; readonly operation: "publish" | "subscription"; readonly subject: string }
  | SubscriptionReport;

export interface Bus extends BusRequests, BusStored {
  /** Sends and forgets. `BUS_UNREACHABLE` without a connection, `TOO_LARGE`; a refused subject is an event `denied`. */
  publish(subject: string, body: Uint8Array, headers?: Readonly<Record<string, string>>): void;
  /** Answers a request; false when the message asked for no answer, or for one on a subject that is no inbox. */
  respond(message: BusMessage, body: Uint8Array, headers?: Readonly<Record<string, string>>): boolean;
  /** Answers a broadcast under this client's own id, to which the broker holds it; false as `respond`. */
  respondAs(id: string, message: BusMessage, body: Uint8Array): boolean;
  /** Holds over reconnects until the returned function ends it. A handler's error is an event, not an end. */
  subscribe(subject: string, options: SubscribeOptions, handler: Handler): () => void;
  onStatus(listener: (event: BusEvent) => void): () => void;
  readonly connected: boolean;
  /** The broker's address, while there is a connection. */
  readonly server: string | undefined;
  readonly max_payload_bytes: number;
  /** Milliseconds to the broker and back; everything published before has reached it then. */
  roundTrip(timeout_ms?: number): Promise<number>;
  /** Drops the connection and dials at once, with fresh credentials. Resolves when connected again. */
  reconnect(): Promise<void>;
  /** Stops subscriptions, lets handlers end (up to 5 s), sends what is waiting, closes. */
  close(): Promise<void>;
}

const MAX_PAYLOAD_BYTES = 1024 * 1024;

/**
 * Connects and resolves with a bus that is connected. Its lifetime is the signal.
 * FleetError: `CONFIG` for an address; `CANCELLED` when the signal aborts first (its cause says why there was no
 * connection); with `first_connect: "once"` also `BUS_UNREACHABLE`, `NOT_LOGGED_IN`, `BAD_SIGNATURE`.
 */
export async function connectBus(options: BusOptions, signal: AbortSignal): Promise<Bus> {
  const { servers } = options;
  const addresses = (): BusServer[] => {
    const list = (typeof servers === "function" ? servers() : servers).map(parseServer);
    if (list.length === 0) throw new FleetError("CONFIG", "the bus needs at least one broker address");
    return list;
  };
  addresses();
  const state = new BusState(options, addresses, signal);
  await state.start();
  return busOf(state);
}

/**
 * Where answers may go. The broker does not hold the reply subject of a request against anybody's permissions: without this whoever may ask us
 * could have us write wherever we may. `_R_.` is the broker's own stand-in for an inbox of another account,
 * and below `_R_.store.` streams are written.
 */
const INBOX = /^(_INBOX_[^.]+|_R_(?!\.store\.))\./;

function busOf(state: BusState): Bus {
  const publish: Bus["publish"] = (subject, body, headers) =>
    state.send(plainSubject(subject), body, headers);
  const ask: Ask = (subject, body, headers, waiting) =>
    state.ask(plainSubject(subject), body, headers, waiting);
  const requests = busRequests(ask, () => state.hearBroadcasts());
  return {
    publish,
    respond(message, body, headers) {
      if (message.reply === undefined || !INBOX.test(message.reply)) return false;
      publish(message.reply, body, headers);
      return true;
    },
    respondAs(id, message, body) {
      const subject = message.reply === undefined ? null : answerSubject(id, message.reply);
      if (subject === null) return false;
      publish(subject, body);
      return true;
    },
    subscribe: (subject, options, handler) => state.subscribe(filterSubject(subject), options, handler),
    onStatus: (listener) => state.listen(listener),
    get connected() {
      return state.link !== undefined;
    },
    get server() {
      return state.link?.address;
    },
    get max_payload_bytes() {
      return state.link?.max_payload_bytes ?? MAX_PAYLOAD_BYTES;
    },
    roundTrip: (timeout_ms = 5_000) => state.roundTrip(timeout_ms),
    reconnect: () => state.reconnect(),
    close: () => state.close(),
    ...requests,
    ...busStored(requests),
  };
}
