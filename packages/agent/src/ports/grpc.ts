/**
 * As much of gRPC as asking a daemon on this host takes, over Node's own HTTP/2: a request is one message, an answer any number of them, each behind a byte
 * (not packed) and its length; the status comes in the trailers. One connection for all requests; the one after it was lost makes another. No TLS: it does not
 * leave the host. Source: gRPC, doc/PROTOCOL-HTTP2.md.
 */
import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from "node:http2";
import { createConnection } from "node:net";
import { FleetError } from "@muster/protocol/errors";

export type GrpcAnswer = {
  /** 0 = ok, 12 = there is no such method. */
  readonly status: number;
  readonly words: string;
  readonly messages: readonly Uint8Array[];
};

export type GrpcOptions = {
  /** `host:port`, or the path of a Unix socket. */
  readonly address: string;
  /** For connecting and the whole answer. */
  readonly timeout_ms: number;
  readonly max_reply_bytes: number;
};

export type Grpc = {
  /**
   * @param path /package.Service/Method
   * @throws GOBGP_UNREACHABLE no connection, lost or silent; GOBGP_REPLY unreadable or too long; CANCELLED closed
   */
  call(path: string, request: Uint8Array): Promise<GrpcAnswer>;
};

const PREFIX_BYTES = 5;

/** Opened by the first call. `signal` is its lifetime. */
export function connectGrpc(options: GrpcOptions, signal: AbortSignal): Grpc {
  let session: ClientHttp2Session | null = null;
  signal.addEventListener("abort", () => session?.destroy(), { once: true });

  const current = (): ClientHttp2Session => {
    if (session === null || session.closed || session.destroyed) {
      session = openSession(options.address);
      // Whoever asks hears of it by the stream of the question.
      session.on("error", () => undefined);
    }
    return session;
  };
  return {
    async call(path, request) {
      if (signal.aborted) throw new FleetError("CANCELLED", "the connection to GoBGP was closed");
      const of = current();
      try {
        return await ask(of, path, request, options);
      } catch (cause) {
        // Whatever comes later on it is about a question that nobody waits for.
        of.destroy();
        if (signal.aborted)
          throw new FleetError("CANCELLED", "the connection to GoBGP was closed", { cause });
        if (cause instanceof FleetError) throw cause;
        throw new FleetError("GOBGP_UNREACHABLE", `${options.address}: ${reasonOf(cause)}`, { cause });
      }
    },
  };
}

const openSession = (address: string): ClientHttp2Session =>
  address.startsWith("/")
    ? connect("http://localhost", { createConnection: () => createConnection(address) })
    : connect(`http://${address}`);

/** A stream that never began has the connection's error as its cause. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message : error.message;
}

function ask(
  session: ClientHttp2Session,
  path: string,
  request: Uint8Array,
  { timeout_ms, max_reply_bytes }: GrpcOptions,
): Promise<GrpcAnswer> {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
    });
    const chunks: Buffer[] = [];
    let bytes = 0;
    let failed: Error | null = null;
    let [status, words] = ["", ""];
    const end = (error: Error) => {
      failed ??= error;
      stream.destroy();
    };
    const timer = setTimeout(
      () => end(new Error(`${path} had no whole answer within ${timeout_ms} ms`)),
      timeout_ms,
    );
    // An answer that is nothing but an error says so in its first headers.
    const note = (headers: IncomingHttpHeaders) => {
      status = String(headers["grpc-status"] ?? status);
      words = String(headers["grpc-message"] ?? words);
    };
    stream.on("response", note);
    stream.on("trailers", note);
    stream.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      bytes += chunk.byteLength;
      if (bytes > max_reply_bytes)
        end(new FleetError("GOBGP_REPLY", `longer than the limit of ${max_reply_bytes} bytes`));
    });
    stream.on("error", end);
    stream.on("close", () => {
      clearTimeout(timer);
      if (failed === null && status === "") failed = new Error(`${path} was broken off`);
      if (failed !== null) reject(failed);
      else {
        try {
          const messages = messagesIn(Buffer.concat(chunks));
          resolve({ status: Number(status), words: decodeURIComponent(words), messages });
        } catch (error) {
          reject(error);
        }
      }
    });
    stream.end(framed(request));
  });
}

function framed(message: Uint8Array): Buffer {
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(message.byteLength, 1);
  return Buffer.concat([prefix, message]);
}

function messagesIn(answer: Buffer): Uint8Array[] {
  const messages: Uint8Array[] = [];
  for (let at = 0; at < answer.byteLength; ) {
    const begin = at + PREFIX_BYTES;
    if (begin > answer.byteLength || answer[at] !== 0)
      throw new FleetError("GOBGP_REPLY", "no message of gRPC, or a packed one");
    at = begin + answer.readUInt32BE(at + 1);
    if (at > answer.byteLength) throw new FleetError("GOBGP_REPLY", "a message that is cut off");
    messages.push(answer.subarray(begin, at));
  }
  return messages;
}
