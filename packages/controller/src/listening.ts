/** Where a server of ours listens: how the configuration says it, and listening there. */
import type { Server } from "node:net";
import { FleetError } from "@muster/protocol/errors";

/** `127.0.0.1:9464`, `[::1]:9464`, `localhost:9464`. */
export const LISTEN = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/;

/** Resolves with the port when it listens; port 0 = any. Errors: CONFIG when it cannot, with what it is for. */
export function listening(server: Server, listen: string, what: string): Promise<number> {
  const [, v6, name, port] = LISTEN.exec(listen) ?? [];
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => reject(new FleetError("CONFIG", `${what} on ${listen}`, { cause })));
    server.listen({ host: v6 ?? name, port: Number(port) }, () => {
      const address = server.address();
      resolve(address !== null && typeof address === "object" ? address.port : 0);
    });
  });
}
