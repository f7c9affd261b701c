/**
 * One connection to one broker: the only file that knows `nats` 2.29. It dials once and lives until the connection ends;
 * dialling again, subscriptions that outlive a connection and requests are in bus.ts. The library's own reconnecting is
 * not used: after a long connection its first try comes without any delay, whatever jitter is set, so that a whole fleet
 * would be back in the same second; it keeps its credentials' refusals as reasons to close for good; and it takes
 * addresses from whoever it talks to.
 */
import { isIP } from "node:net";
import { FleetError } from "@muster/protocol/errors";
import {
  type Msg,
  headers as makeHeaders,
  NatsConnectionImpl,
  NatsError,
  setTransportFactory,
} from "nats/lib/src/nats-base-client.js";
import { NodeTransport } from "nats/lib/src/node_transport.js";

/** A message as everything in Muster sees it. Of a header that comes twice the last counts: the server appends its own. */
export type BusMessage = {
  readonly subject: string;
  readonly reply: string | undefined;
  readonly body: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
  /** Set by the server in answers of its own: 503 nobody listens, 404 no such message, 204 end of a batch. */
  readonly status?: number;
};

/** A user JWT and the signature with its key. `sign` gives the raw 64 bytes of Ed25519. */
export type BusCredentials = { readonly jwt: string; sign(nonce: Uint8Array): Uint8Array };

export type BusServer = { readonly host: string; readonly port: number };

export type DialOptions = {
  readonly server: BusServer;
  readonly ca_pem: string | undefined;
  readonly server_name: string | undefined;
  readonly handshake_first: boolean;
  readonly name: string;
  readonly inbox_prefix: string;
  readonly credentials: BusCredentials | null;
  readonly connect_timeout_ms: number;
  readonly ping_interval_ms: number;
  /** The broker refused a subject: always later than the call that used it. */
  readonly on_denied: (operation: "publish" | "subscription", subject: string) => void;
};

export type Link = {
  readonly address: string;
  readonly max_payload_bytes: number;
  publish(
    subject: string,
    body: Uint8Array,
    options: { reply?: string; headers?: Readonly<Record<string, string>> },
  ): void;
  /** Returns the function that ends it. */
  subscribe(
    subject: string,
    queue: string | undefined,
    on_message: (message: BusMessage) => void,
  ): () => void;
  /** Resolves when everything sent before has reached the broker; rejects when the connection ends first. */
  flush(): Promise<void>;
  close(): Promise<void>;
  /** Resolves with the reason when the connection has ended. */
  readonly closed: Promise<FleetError>;
};

/** What a nonce looks like; nothing else is signed, so that no broker can have something signed that means something. */
const NONCE = /^[A-Za-z0-9_-]{1,128}$/;

/**
 * Connects. FleetError `BUS_UNREACHABLE` (no connection, wrong certificate), `NOT_LOGGED_IN` (the broker refused the
 * credentials), `BAD_SIGNATURE` (the broker asked to have something signed that is no nonce).
 */
export async function dial(options: DialOptions): Promise<Link> {
  const { server } = options;
  const address =
    isIP(server.host) === 6 ? `[${server.host}]:${server.port}` : `${server.host}:${server.port}`;
  let refusal: FleetError | undefined;
  setTransportFactory({ factory: () => new TidyTransport() });
  let connection: NatsConnectionImpl;
  try {
    connection = (await NatsConnectionImpl.connect({
      servers: address,
      // The operating system resolves names (/etc/hosts, IPv6 and IPv4 tried together), not the library's own resolver.
      resolve: false,
      reconnect: false,
      ignoreClusterUpdates: true,
      ignoreAuthErrorAbort: true,
      maxReconnectAttempts: -1,
      timeout: options.connect_timeout_ms,
      pingInterval: options.ping_interval_ms,
      maxPingOut: 2,
      name: options.name,
      inboxPrefix: options.inbox_prefix,
      noAsyncTraces: true,
      tls: tlsOptions(options),
      authenticator: (nonce?: string) => {
        if (options.credentials === null) return undefined;
        if (nonce === undefined || !NONCE.test(nonce)) {
          refusal = new FleetError("BAD_SIGNATURE", `${address}: what the broker wants signed is no nonce`);
          throw refusal;
        }
        const signature = options.credentials.sign(Buffer.from(nonce));
        return { jwt: options.credentials.jwt, sig: Buffer.from(signature).toString("base64url"), nkey: "" };
      },
    })) as NatsConnectionImpl;
  } catch (error) {
    throw refusal ?? dialError(error, address);
  }
  return openLink(connection, address, options);
}

/** The certificate is checked for the address as it was given: the library leaves that out for literal addresses. */
function tlsOptions(options: DialOptions) {
  if (options.ca_pem === undefined) return null;
  const name = options.server_name ?? options.server.host;
  return {
    ca: options.ca_pem,
    handshakeFirst: options.handshake_first,
    minVersion: "TLSv1.2",
    ...(isIP(name) === 0 ? { servername: name } : { host: name, servername: "" }),
  };
}

/**
 * The library forgets a socket that never became a connection (a broker that hangs): one descriptor lost a try. And it writes every message by itself:
 * here what is sent in one turn of the loop goes out together, as one record of TLS.
 */
class TidyTransport extends NodeTransport {
  #given_up = false;
  #corked = false;

  override async dial(where: { hostname: string; port: number }) {
    return this.#keep(await super.dial(where));
  }

  override async tlsFirst(where: { hostname: string; port: number }) {
    return this.#keep(await super.tlsFirst(where));
  }

  override send(frame: Uint8Array): void {
    const { socket } = this;
    if (socket !== undefined && !this.#corked) {
      this.#corked = true;
      socket.cork();
      setImmediate(() => {
        this.#corked = false;
        socket.uncork();
      });
    }
    super.send(frame);
  }

  override async close(error?: Error): Promise<void> {
    this.#given_up = true;
    await super.close(error);
    if (!this.connected) this.socket?.destroy();
  }

  #keep<S extends { destroy(): unknown }>(socket: S): S {
    if (this.#given_up) socket.destroy();
    return socket;
  }
}

function openLink(connection: NatsConnectionImpl, address: string, options: DialOptions): Link {
  const closed = connection.closed().then((error) => endError(error, address));
  void watchDenials(connection, options);
  return {
    address,
    max_payload_bytes: connection.info?.max_payload ?? 1024 * 1024,
    closed,
    publish(subject, body, extra) {
      const head = extra.headers === undefined ? undefined : encodeHeaders(extra.headers);
      try {
        connection.publish(subject, body, {
          ...(extra.reply === undefined ? {} : { reply: extra.reply }),
          ...(head === undefined ? {} : { headers: head }),
        });
      } catch (error) {
        throw callError(error, subject);
      }
    },
    subscribe(subject, queue, on_message) {
      const subscription = connection.subscribe(subject, {
        ...(queue === undefined ? {} : { queue }),
        callback: (error, message) => {
          // A refused subscription comes here too; it is reported by watchDenials.
          if (error === null) on_message(fromMsg(message));
        },
      });
      return () => {
        if (!connection.isClosed()) subscription.unsubscribe();
      };
    },
    async flush() {
      const ended = closed.then((error) => Promise.reject(error));
      try {
        await Promise.race([connection.flush(), ended]);
      } catch (error) {
        throw error instanceof FleetError ? error : callError(error, "flush");
      }
    },
    close: () => connection.close(),
  };
}

async function watchDenials(connection: NatsConnectionImpl, options: DialOptions): Promise<void> {
  for await (const status of connection.status()) {
    const context = status.permissionContext;
    if (context === undefined) continue;
    options.on_denied(context.operation === "publish" ? "publish" : "subscription", context.subject);
  }
}

function fromMsg(message: Msg): BusMessage {
  const headers: Record<string, string> = {};
  const given = message.headers;
  // `Object.defineProperty` and not `[key] =`: a header may be called __proto__.
  for (const key of given?.keys() ?? []) {
    Object.defineProperty(headers, key, { value: given?.last(key) ?? "", enumerable: true });
  }
  const status = given?.code ?? 0;
  return {
    subject: message.subject,
    reply: message.reply === undefined || message.reply === "" ? undefined : message.reply,
    body: message.data,
    headers,
    ...(status === 0 ? {} : { status }),
  };
}

function encodeHeaders(headers: Readonly<Record<string, string>>) {
  const encoded = makeHeaders();
  for (const [key, value] of Object.entries(headers)) {
    if (!/^[A-Za-z0-9-]{1,64}$/.test(key) || !/^[\x20-\x7e]*$/.test(value)) {
      throw new FleetError(
        "INVALID",
        `header ${JSON.stringify(key.slice(0, 64))}: letters, digits and -, value printable ASCII`,
      );
    }
    encoded.set(key, value);
  }
  return encoded;
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}

const REFUSED = new Set([
  "AUTHORIZATION_VIOLATION",
  "AUTHENTICATION_EXPIRED",
  "AUTHENTICATION_TIMEOUT",
  "ACCOUNT_EXPIRED",
  "BAD_AUTHENTICATION",
]);

function dialError(error: unknown, address: string): FleetError {
  const code = codeOf(error);
  if (REFUSED.has(code)) {
    return new FleetError("NOT_LOGGED_IN", `${address}: the broker refused the credentials`, {
      cause: error,
    });
  }
  return new FleetError("BUS_UNREACHABLE", `${address}: ${words(error, code)}`, { cause: error });
}

function endError(error: unknown, address: string): FleetError {
  const code = codeOf(error);
  if (REFUSED.has(code)) {
    return new FleetError("NOT_LOGGED_IN", `${address}: ${words(error, code)}`, { cause: error });
  }
  return new FleetError("BUS_UNREACHABLE", `${address}: ${words(error, code)}`, { cause: error });
}

function words(error: unknown, code: string): string {
  const known: Record<string, string> = {
    TIMEOUT: "no answer in time",
    CONNECTION_REFUSED: "connection refused",
    ECONNRESET: "connection broken",
    ENOTFOUND: "no such name in DNS",
    EHOSTUNREACH: "no route",
    ENETUNREACH: "no route",
    ERR_TLS_CERT_ALTNAME_INVALID: "its certificate is for another name",
    UNABLE_TO_VERIFY_LEAF_SIGNATURE: "its certificate is not signed by the pinned CA",
    DEPTH_ZERO_SELF_SIGNED_CERT: "its certificate is not signed by the pinned CA",
    SELF_SIGNED_CERT_IN_CHAIN: "its certificate is not signed by the pinned CA",
    CERT_SIGNATURE_FAILURE: "its certificate is not signed by the pinned CA",
    UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "its certificate is not signed by the pinned CA",
    CERT_HAS_EXPIRED: "its certificate has expired",
  };
  const message = error instanceof Error ? error.message : "";
  return known[code] ?? (message === "" ? "connection ended" : message.slice(0, 200));
}

function callError(error: unknown, subject: string): FleetError {
  if (error instanceof FleetError) return error;
  if (error instanceof NatsError) {
    if (error.code === "MAX_PAYLOAD_EXCEEDED") return new FleetError("TOO_LARGE", subject, { cause: error });
    return new FleetError("BUS_UNREACHABLE", `${subject}: ${error.message}`, { cause: error });
  }
  // Anything else is our own mistake and crashes loudly.
  throw error;
}
