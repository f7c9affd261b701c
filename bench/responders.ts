/**
 * A process full of simulated hosts for scatter.ts: each with its own TLS connection, key and JWT. Half of them are bare (the `nats` library
 * alone, a fixed answer), half answer through the dispatcher and the method row that agents use.
 */
import { createPrivateKey } from "node:crypto";
import { type BusCredentials, connectBus } from "@muster/ports/bus";
import { serve } from "@muster/ports/dispatch";
import { patterns, RPC, signEd25519, subjects } from "@muster/protocol";
import { PROTOCOL_VERSION } from "@muster/protocol/version";
import { connect } from "nats";

export type SimulatedHost = {
  readonly id: string;
  readonly name: string;
  readonly jwt: string;
  readonly key_pem: string;
};
export type Order = {
  readonly server: string;
  readonly ca_pem: string;
  readonly bare: readonly SimulatedHost[];
  readonly real: readonly SimulatedHost[];
};

/** As many connections are opened at once. */
const AT_ONCE = 20;

/** A reply like that of `ping`, in its size. */
const reply = (host: string) => ({ host, at: Date.now(), version: "0.1.0", protocol: PROTOCOL_VERSION });

function credentialsOf(host: SimulatedHost): BusCredentials {
  const key = createPrivateKey(host.key_pem);
  return { jwt: host.jwt, sign: (nonce) => signEd25519(key, nonce) };
}

/** A connection of the library alone, with the TLS and the credentials of everybody else. */
export function dialBare(server: string, ca_pem: string, host: SimulatedHost) {
  const { jwt, sign } = credentialsOf(host);
  return connect({
    servers: server,
    tls: { ca: ca_pem },
    inboxPrefix: subjects.inboxPrefix(host.id),
    authenticator: (nonce) => ({
      jwt,
      nkey: "",
      sig: Buffer.from(sign(Buffer.from(nonce ?? ""))).toString("base64url"),
    }),
  });
}

async function startBare(order: Order, host: SimulatedHost): Promise<void> {
  const connection = await dialBare(order.server, order.ca_pem, host);
  for (const subject of [subjects.rpc(host.id, "bare"), subjects.rpcAll("bare")])
    connection.subscribe(subject, {
      callback: (error, message) => {
        if (error === null) message.respond(Buffer.from(JSON.stringify({ ok: reply(host.name) })));
      },
    });
  await connection.flush();
}

async function startReal(order: Order, host: SimulatedHost, signal: AbortSignal): Promise<void> {
  const credentials = credentialsOf(host);
  const bus = await connectBus(
    {
      servers: [order.server],
      ca_pem: order.ca_pem,
      name: host.name,
      inbox_prefix: subjects.inboxPrefix(host.id),
      credentials: () => credentials,
    },
    signal,
  );
  const { ping } = RPC;
  serve(
    {
      bus,
      table: { ping },
      handlers: { ping: () => reply(host.name) },
      routes: [
        { pattern: patterns.rpcOf(host.id), logical: (method) => subjects.rpc(host.id, method) },
        { pattern: patterns.rpcAll, logical: (method) => subjects.rpcAll(method) },
      ],
      verifier: () => null,
      now: Date.now,
      self: () => ({ id: host.id, groups: ["bench"], labels: {} }),
    },
    signal,
  );
  await bus.roundTrip();
}

async function inTurn<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const worker = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

// Started by scatter.ts: the order comes over the channel, and its end ends us.
if (process.send !== undefined) {
  process.once("disconnect", () => process.exit(0));
  process.once("message", async (order: Order) => {
    const began = performance.now();
    await inTurn(order.bare, (host) => startBare(order, host));
    await inTurn(order.real, (host) => startReal(order, host, new AbortController().signal));
    process.send?.({ ready_ms: performance.now() - began, rss_bytes: process.memoryUsage.rss() });
  });
}
