/** A broker that is not the fleet's: it greets as nats-server does, shows a chain of its own CA, and counts what it is told behind TLS. */
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { createSecureContext, TLSSocket } from "node:tls";
import { issue, makeCa } from "@muster/ports/csr";

export type FakeBroker = {
  readonly port: number;
  readonly told: () => { readonly connections: number; readonly bytes: number };
  close(): Promise<void>;
};

/** Listens on that address of this machine. */
export async function openFakeBroker(address: string): Promise<FakeBroker> {
  const not_after = Date.now() + 3_600_000;
  const ca = await makeCa({ common_name: "another fleet brokers", not_after });
  const { certificate_pem, private_pem } = await issue(ca, {
    common_name: "broker",
    ip_addresses: [address],
    not_after,
  });
  const secureContext = createSecureContext({ cert: certificate_pem + ca.certificate_pem, key: private_pem });
  let [connections, bytes] = [0, 0];
  const server = createServer((socket) => {
    connections += 1;
    socket.on("error", () => undefined);
    socket.write(
      `INFO {"server_id":"X","version":"2.15.2","proto":1,"tls_required":true,"max_payload":1048576}\r\n`,
    );
    const secure = new TLSSocket(socket, { isServer: true, secureContext });
    secure.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
    });
    secure.on("error", () => undefined);
  });
  server.listen(0, address);
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    told: () => ({ connections, bytes }),
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
