/** What the tests of the bus meet beside a real broker: a line that can be cut, a broker that lies, and words for waiting. */
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { FleetError } from "@muster/protocol/errors";
import { patienceOf } from "../../kit/patience.ts";

export const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
export const bytes = (value: string): Uint8Array => Buffer.from(value);

export async function failure(work: Promise<unknown>): Promise<FleetError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof FleetError) return error;
    throw error;
  }
  throw new Error("no error came");
}

export async function until(done: () => boolean, limit_ms = 8_000): Promise<void> {
  const patience = patienceOf(limit_ms);
  while (!done()) {
    if (patience.over()) throw new Error(`did not happen in ${patience.text()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export function sockets(): number {
  return readdirSync("/proc/self/fd").length;
}

/** Passes bytes on to a local port, until the connections are cut. */
export async function proxy(port: number): Promise<{ address: string; server: Server; cut: () => void }> {
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    const onward = createConnection({ host: "127.0.0.1", port });
    for (const end of [socket, onward]) {
      open.add(end);
      end.on("error", () => undefined);
      end.on("close", () => open.delete(end));
    }
    socket.pipe(onward).pipe(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const cut = (): void => {
    for (const socket of [...open]) socket.destroy();
  };
  return { address: `127.0.0.1:${address.port}`, server, cut };
}

/** Speaks just enough of the protocol to ask for a signature over whatever it likes. */
export async function lyingBroker(
  nonce: string | undefined,
): Promise<{ address: string; server: Server; heard: () => string }> {
  let heard = "";
  const server = createServer((socket: Socket) => {
    const info = {
      server_id: "X",
      version: "2.15.2",
      proto: 1,
      headers: true,
      max_payload: 1024,
      auth_required: true,
      nonce,
    };
    socket.write(`INFO ${JSON.stringify(info)}\r\n`);
    socket.on("data", (chunk) => {
      heard += chunk.toString();
    });
    socket.on("error", () => undefined);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return { address: `127.0.0.1:${address.port}`, server, heard: () => heard };
}
