/**
 * The one connection to an FRR daemon's vty socket, as vtysh makes it, and without a process a question: a command and a zero byte go out, text and three
 * zero bytes with the result's code come back. It stays in FRR's view mode, which can change nothing, unless the daemon tells nothing there. A lost connection is made anew, by path, for the next
 * command: FRR re-creates the socket when it starts. Source: FRR, lib/vty.c (vtysh_read) and vtysh/vtysh.c (vtysh_client_run).
 */
import { createConnection, type Socket } from "node:net";
import { FleetError } from "@muster/protocol/errors";
import { socketIdentity } from "./socket-identity.ts";

export type VtyConnection = {
  /**
   * Sends one line and gives the text of its answer.
   * @throws FRR_UNREACHABLE no connection, lost or silent; UNSUPPORTED the daemon knows no such command; FRR_REPLY too long, or another code than 0;
   *   CANCELLED closed
   */
  command(text: string): Promise<string>;
};

type Waiter = { readonly resolve: (text: string) => void; readonly reject: (error: FleetError) => void };
type Link = {
  readonly socket: Socket;
  readonly identity: string;
  waiter: Waiter | null;
  error: FleetError | null;
};

/** Text never holds a zero byte. */
const END = Buffer.alloc(3);
const CODE_BYTES = 1;
/** CMD_ERR_NO_MATCH of FRR's lib/command.h. */
const NO_SUCH_COMMAND = 2;

/** Makes the connection object; the socket is opened by the first command. `signal` is its lifetime. */
export function connectVty(
  options: {
    readonly socketPath: string;
    readonly timeout_ms: number;
    readonly max_reply_bytes: number;
    /** Said first on each connection: bfdd shows its peers in the mode that `enable` leads to alone. */
    readonly first?: "enable";
  },
  signal: AbortSignal,
): VtyConnection {
  const { socketPath, timeout_ms, max_reply_bytes } = options;
  let link: Link | null = null;
  let queue: Promise<unknown> = Promise.resolve();
  const shut = () => {
    if (link !== null) fail(link, new FleetError("CANCELLED", "the connection to FRR was closed"));
  };
  signal.addEventListener("abort", shut, { once: true });

  const current = async (): Promise<Link> => {
    const identity = socketIdentity(socketPath, "FRR_UNREACHABLE");
    if (link !== null && link.error === null && link.identity === identity) return link;
    if (link !== null) fail(link, new FleetError("FRR_UNREACHABLE", `${socketPath} was made anew`));
    const opened = openLink(socketPath, identity, max_reply_bytes);
    link = opened;
    if (options.first === undefined) return opened;
    try {
      await ask(opened, options.first, timeout_ms);
    } catch (error) {
      // Without it the daemon would tell nothing, and that would look like an answer.
      fail(opened, error instanceof FleetError ? error : new FleetError("FRR_UNREACHABLE", String(error)));
      throw error;
    }
    return opened;
  };

  return {
    async command(text) {
      const turn = queue.then(async () => {
        if (signal.aborted) throw new FleetError("CANCELLED", "the connection to FRR was closed");
        return ask(await current(), text, timeout_ms);
      });
      // The caller has the error; the queue only needs to know that the turn is over.
      queue = turn.catch(() => undefined);
      return turn;
    },
  };
}

function openLink(socketPath: string, identity: string, max_reply_bytes: number): Link {
  const socket = createConnection(socketPath);
  const link: Link = { socket, identity, waiter: null, error: null };
  let chunks: Buffer[] = [];
  let bytes = 0;
  socket.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    bytes += chunk.byteLength;
    if (bytes > max_reply_bytes) {
      fail(link, new FleetError("FRR_REPLY", `longer than the limit of ${max_reply_bytes} bytes`));
      return;
    }
    // The end may be cut anywhere; only the last bytes are looked at before all is put together.
    const tail =
      chunks.length === 1 || chunk.byteLength > END.byteLength ? chunk : Buffer.concat(chunks.slice(-5));
    const ends = tail.byteLength - END.byteLength - CODE_BYTES;
    if (ends < 0 || !tail.subarray(ends, ends + END.byteLength).equals(END)) return;
    const whole = Buffer.concat(chunks);
    [chunks, bytes] = [[], 0];
    const { waiter } = link;
    link.waiter = null;
    const text = whole.subarray(0, whole.byteLength - END.byteLength - CODE_BYTES).toString("utf8");
    const code = whole.at(-1);
    if (code === 0) waiter?.resolve(text);
    else {
      const error = code === NO_SUCH_COMMAND ? "UNSUPPORTED" : "FRR_REPLY";
      waiter?.reject(new FleetError(error, `${text.trim().slice(0, 300)} (${code})`));
    }
  });
  socket.on("error", (cause) => {
    fail(link, new FleetError("FRR_UNREACHABLE", `${socketPath}: ${cause.message}`, { cause }));
  });
  socket.on("close", () =>
    fail(link, new FleetError("FRR_UNREACHABLE", `${socketPath}: FRR closed the connection`)),
  );
  return link;
}

function ask(link: Link, text: string, limit_ms: number): Promise<string> {
  return new Promise((resolve, reject) => {
    if (link.error !== null) {
      reject(link.error);
      return;
    }
    const silence = `\`${text.slice(0, 80)}\` had no whole answer within ${limit_ms} ms`;
    const timer = setTimeout(() => fail(link, new FleetError("FRR_UNREACHABLE", silence)), limit_ms);
    const settle =
      <T>(then: (value: T) => void) =>
      (value: T) => {
        clearTimeout(timer);
        then(value);
      };
    link.waiter = { resolve: settle(resolve), reject: settle(reject) };
    link.socket.write(`${text}\0`);
  });
}

/** The first error of a link stands; the command under way gets it, and the next one makes a new link. */
function fail(link: Link, error: FleetError): void {
  if (link.error !== null) return;
  link.error = error;
  const { waiter } = link;
  link.waiter = null;
  link.socket.destroy();
  waiter?.reject(error);
}
