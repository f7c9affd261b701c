/**
 * One HTTP exchange with one Vault server, in place of the axios inside `node-vault`: a pinned CA on a keep-alive agent
 * (one TLS handshake, not one a request), a time limit, a size limit, no redirects, no proxy from the environment. What
 * comes out is an answer or the reason there is none; no error of the HTTP machinery passes, since such errors hold
 * headers and bodies.
 */
import { Agent, request } from "node:https";
import { FleetError } from "@muster/protocol/errors";

/** An idle connection is closed by us before Vault closes it (after 5 minutes), so that no request meets a dead one. */
const IDLE_MS = 60_000;
const SOCKETS = 32;
const ANSWER_LIMIT_BYTES = 8 * 1024 * 1024;

export type Outcome =
  | { readonly kind: "answer"; readonly status: number; readonly body: unknown }
  /** `sent`: the request may have reached Vault and may have been carried out. */
  | { readonly kind: "silence"; readonly sent: boolean; readonly error: FleetError };

export type Exchange = {
  readonly uri: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
};

export type Http = {
  exchange(exchange: Exchange): Promise<Outcome>;
  /** Errors: CANCELLED when the port's life ends meanwhile. */
  wait(duration_ms: number): Promise<void>;
};

/** The limits of one exchange, and where it says how it can be stopped while it runs. */
type Bounds = {
  readonly agent: Agent;
  readonly timeout_ms: number;
  readonly running: Set<() => void>;
  /** Connections whose handshake is done. Node says of some requests on them that they did not reuse one. */
  readonly secured: WeakSet<object>;
  readonly signal: AbortSignal;
};

/** The signal ends every exchange. `server_name` is what the certificate must be for, where the address is another; `client` is shown to it. */
export function openHttp(
  options: {
    ca_pem: string;
    timeout_ms: number;
    server_name?: string;
    client?: { certificate_pem: string; key_pem: string };
  },
  signal: AbortSignal,
): Http {
  const agent = new Agent({
    keepAlive: true,
    maxSockets: SOCKETS,
    // Fewer, and a burst makes a TLS handshake of nearly every request.
    maxFreeSockets: SOCKETS,
    timeout: IDLE_MS,
    scheduling: "lifo",
    ca: options.ca_pem,
    minVersion: "TLSv1.2",
    rejectUnauthorized: true,
    ...(options.server_name === undefined ? {} : { servername: options.server_name }),
    ...(options.client === undefined
      ? {}
      : { cert: options.client.certificate_pem, key: options.client.key_pem }),
  });
  const bounds: Bounds = {
    agent,
    timeout_ms: options.timeout_ms,
    running: new Set(),
    secured: new WeakSet(),
    signal,
  };
  // One listener for all exchanges: a signal with a listener for each warns of a leak.
  const end = (): void => {
    for (const stop of [...bounds.running]) stop();
    agent.destroy();
  };
  signal.addEventListener("abort", end, { once: true });
  return {
    exchange: (exchange) => exchangeOnce(bounds, exchange),
    wait: (duration_ms) =>
      new Promise((resolve, reject) => {
        const settle = (done: () => void): void => {
          clearTimeout(timer);
          bounds.running.delete(stop);
          done();
        };
        const stop = (): void => settle(() => reject(new FleetError("CANCELLED", "stopped on request")));
        const timer = setTimeout(() => settle(resolve), duration_ms);
        bounds.running.add(stop);
        if (signal.aborted) stop();
      }),
  };
}

function exchangeOnce(bounds: Bounds, exchange: Exchange): Promise<Outcome> {
  const { agent, timeout_ms, running, secured, signal } = bounds;
  return new Promise((resolve) => {
    let sent = false;
    let settled = false;
    const settle = (outcome: Outcome): void => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      running.delete(stop);
      resolve(outcome);
      if (outcome.kind === "silence") call.destroy();
    };
    const silence = (detail: string, code: "VAULT_UNREACHABLE" | "CANCELLED" = "VAULT_UNREACHABLE"): void =>
      settle({
        kind: "silence",
        sent,
        error: new FleetError(code, `${new URL(exchange.uri).host}: ${detail}`),
      });

    const body = exchange.body === undefined ? undefined : Buffer.from(JSON.stringify(exchange.body));
    const call = request(exchange.uri, {
      agent,
      method: exchange.method,
      headers: {
        accept: "application/json",
        // Vault's own guard against requests forged through a careless proxy.
        "x-vault-request": "true",
        ...(body === undefined
          ? {}
          : { "content-type": "application/json", "content-length": String(body.length) }),
        ...exchange.headers,
      },
    });
    const stop = (): void => silence("stopped on request", "CANCELLED");
    const timer = setTimeout(() => silence(`no answer within ${timeout_ms} ms`), timeout_ms);
    running.add(stop);

    call.on("socket", (socket) => {
      if (secured.has(socket)) sent = true;
      else
        socket.once("secureConnect", () => {
          secured.add(socket);
          sent = true;
        });
    });
    call.on("error", (error) => silence(reason(error)));
    call.on("response", (response) => {
      const chunks: Buffer[] = [];
      let size_bytes = 0;
      response.on("data", (chunk: Buffer) => {
        size_bytes += chunk.length;
        if (size_bytes > ANSWER_LIMIT_BYTES) silence(`the answer is longer than ${ANSWER_LIMIT_BYTES} bytes`);
        else chunks.push(chunk);
      });
      response.on("error", (error) => silence(reason(error)));
      response.on("aborted", () => silence("the connection broke in mid-answer"));
      response.on("end", () =>
        settle({ kind: "answer", status: response.statusCode ?? 0, body: parseBody(Buffer.concat(chunks)) }),
      );
    });
    if (signal.aborted) stop();
    else call.end(body);
  });
}

function parseBody(bytes: Buffer): unknown {
  if (bytes.length === 0) return undefined;
  const text = bytes.toString("utf8");
  try {
    return JSON.parse(text);
  } catch {
    // `ca/pem` and `public_key` answer in plain text.
    return text;
  }
}

/** Only words that cannot hold what was sent: the code of the operating system or of TLS. */
function reason(error: Error): string {
  const code = "code" in error && typeof error.code === "string" ? error.code : error.name;
  const known: Record<string, string> = {
    ECONNREFUSED: "connection refused",
    ECONNRESET: "connection broken",
    ENOTFOUND: "no such name in DNS",
    EAI_AGAIN: "DNS does not answer",
    EHOSTUNREACH: "no route",
    ENETUNREACH: "no route",
    ETIMEDOUT: "no connection in time",
    CERT_HAS_EXPIRED: "its certificate has expired",
    ERR_TLS_CERT_ALTNAME_INVALID: "its certificate is for another name",
    UNABLE_TO_VERIFY_LEAF_SIGNATURE: "its certificate is not signed by the pinned CA",
    SELF_SIGNED_CERT_IN_CHAIN: "its certificate is not signed by the pinned CA",
    DEPTH_ZERO_SELF_SIGNED_CERT: "its certificate is not signed by the pinned CA",
    CERT_SIGNATURE_FAILURE: "its certificate is not signed by the pinned CA",
    UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "its certificate is not signed by the pinned CA",
  };
  return known[code] ?? code;
}
