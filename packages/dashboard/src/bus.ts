/**
 * Port to `@nats-io/nats-core`: the brokers over WebSocket, as a stranger for one question (account ENROL), then as a page that listens and asks controllers.
 */
import type { PAGE } from "@muster/protocol/control/index";
import type { PageReply } from "@muster/protocol/enrolment";
import { FleetError } from "@muster/protocol/errors";
import { LATE_HEADER, lateMs } from "@muster/protocol/streams";
import { subjects } from "@muster/protocol/subjects";
import { jwtAuthenticator, type Msg, type NatsConnection, nkeys, wsconnect } from "@nats-io/nats-core";
import type { z } from "zod";

/** What a ticket was good for. `seed` is the page's own secret. */
export type Access = {
  readonly fleet: string;
  readonly person: string;
  /** What that person is; absent in one that an older page kept. */
  readonly rank?: "viewer" | "operator" | "admin";
  readonly seed: string;
  readonly user_jwt: string;
  readonly expires: number;
};

export type PageMethod = keyof typeof PAGE;
export type PageRequest<M extends PageMethod> = z.output<(typeof PAGE)[M]["request"]>;
export type PageAnswer<M extends PageMethod> = z.output<(typeof PAGE)[M]["reply"]>;

/** `cut`: there is no connection, and it dials. `over`: the brokers do not take this access any more. */
export type BusState = "open" | "cut" | "over";

export interface PageBus {
  ask<M extends PageMethod>(method: M, request: PageRequest<M>): Promise<PageAnswer<M>>;
  /** Resolves when everything that was asked for before has reached the broker. */
  settle(): Promise<void>;
  /** Another takes its place: what it was told before still comes, what was asked is still answered, and then it ends. */
  retire(): Promise<void>;
  close(): Promise<void>;
}

const TIMEOUT_MS = 5_000;
/** A ticket works once: who gave up too soon would have lost it. */
const REDEEM_MS = 20_000;
const text = (data: Uint8Array) => new TextDecoder().decode(data);
const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

/** Shows a ticket for a key made here. Errors: BUS_UNREACHABLE, NO_RESPONDER, and the controller's own. */
export async function redeem(brokers: readonly string[], ticket: string): Promise<Access> {
  const key = nkeys.createUser();
  const curve = nkeys.createCurve();
  const bus = await dial({ servers: [...brokers], inboxPrefix: subjects.enrolInboxPrefix() });
  try {
    const question = { v: 1, curve: curve.getPublicKey(), ticket, id: key.getPublicKey() };
    const message = await bus
      .request(subjects.enrol("page"), bytes(question), { timeout: REDEEM_MS })
      .catch((cause) => Promise.reject(new FleetError("NO_RESPONDER", "no controller answers", { cause })));
    const { from, box } = JSON.parse(text(message.data)) as { from: string; box: string };
    const sealed = Uint8Array.from(atob(box), (char) => char.charCodeAt(0));
    const clear = curve.open(sealed, from);
    if (clear === null) throw new FleetError("BAD_PROOF", "the answer was not for this page");
    const reply = JSON.parse(text(clear)) as PageReply;
    if (reply.status === "refused") throw FleetError.fromReply(reply.error);
    const { fleet, person, rank, user_jwt, expires } = reply;
    return { fleet, person, rank, user_jwt, expires, seed: text(key.getSeed()) };
  } finally {
    await bus.close();
  }
}

/** `late_ms`: so long it waited for the broker; 0 = it did not. */
export type Heard = (subject: string, body: Uint8Array, late_ms: number) => void;

/** Connects and listens to `patterns`; dials again by itself for as long as it is taken. Errors: BUS_UNREACHABLE. */
export async function connectPage(
  brokers: readonly string[],
  access: Access,
  patterns: readonly string[],
  heard: Heard,
  on_state: (state: BusState) => void,
): Promise<PageBus> {
  const seed = new TextEncoder().encode(access.seed);
  const id = nkeys.fromSeed(seed).getPublicKey();
  const bus = await dial({
    servers: [...brokers],
    name: `dashboard of ${access.person}`,
    inboxPrefix: subjects.inboxPrefix(id),
    authenticator: jwtAuthenticator(access.user_jwt, seed),
    reconnect: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 500,
    reconnectJitterTLS: 1_500,
    pingInterval: 10_000,
    maxPingOut: 2,
  });
  const heard_by = patterns.map((pattern) =>
    bus.subscribe(pattern, {
      callback: (error, message) => {
        if (error === null) heard(message.subject, message.data, lateOf(message));
      },
    }),
  );
  watch(bus, on_state);
  return {
    async ask(method, request) {
      const message = await bus.request(subjects.page(id, method), bytes({ v: 1, args: request }), {
        timeout: TIMEOUT_MS,
      });
      const reply = JSON.parse(text(message.data));
      if (reply.error !== undefined) throw FleetError.fromReply(reply.error);
      return reply.ok;
    },
    settle: () => bus.flush(),
    async retire() {
      // Of one that is cut off there is nothing to wait for.
      await bus.flush().catch(() => undefined);
      for (const each of heard_by) each.unsubscribe();
      setTimeout(() => void bus.close(), TIMEOUT_MS);
    },
    close: () => bus.close(),
  };
}

const lateOf = ({ headers }: Msg): number => lateMs({ [LATE_HEADER]: headers?.get(LATE_HEADER) ?? "" });

async function watch(bus: NatsConnection, on_state: (state: BusState) => void): Promise<void> {
  bus.closed().then(() => on_state("over"));
  for await (const { type } of bus.status()) {
    if (type === "disconnect") on_state("cut");
    else if (type === "reconnect") on_state("open");
  }
}

async function dial(options: Parameters<typeof wsconnect>[0]): Promise<NatsConnection> {
  try {
    return await wsconnect({ timeout: TIMEOUT_MS, ...options });
  } catch (cause) {
    throw new FleetError("BUS_UNREACHABLE", (cause as Error).message, { cause });
  }
}
