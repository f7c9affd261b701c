/**
 * A process full of simulated hosts for scatter.ts: each with its own TLS connection, key and JWT. Half of them are bare (the `nats` library
 * alone, a fixed answer), half answer through the dispatcher and the method row that agents use.
 */
import { connectBus } from "@muster/ports/bus";
import { serve } from "@muster/ports/dispatch";
import { patterns, RPC, subjects } from "@muster/protocol";
import { PROTOCOL_VERSION } from "@muster/protocol/version";
import { credentialsOf, dialBare, inTurn, type SimulatedHost } from "./simulated-host.ts";

export type Order = {
  readonly server: string;
  readonly ca_pem: string;
  readonly bare: readonly SimulatedHost[];
  readonly real: readonly SimulatedHost[];
};

/** A reply like that of `ping`, in its size. */
const reply = (host: string) => ({ host, at: Date.now(), version: "0.1.0", protocol: PROTOCOL_VERSION });

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
