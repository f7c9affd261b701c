/** A host that is no more than its connection: key, JWT and name, and how it dials with the library alone. */
import { createPrivateKey } from "node:crypto";
import type { BusCredentials } from "@muster/ports/bus";
import { signEd25519, subjects } from "@muster/protocol";
import { connect } from "nats";

export type SimulatedHost = {
  readonly id: string;
  readonly name: string;
  readonly jwt: string;
  readonly key_pem: string;
};
/** As many connections are opened at once. */
const AT_ONCE = 20;

export function credentialsOf(host: SimulatedHost): BusCredentials {
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

/** Some at a time. */
export async function inTurn<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const worker = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}
