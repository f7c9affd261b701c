/**
 * The one connection to BIRD's control socket. Commands go one at a time; a lost connection is made anew, by path, for
 * the next command: BIRD re-creates the socket when it starts, and a descriptor of the old one would be silent for ever.
 * Nothing is ever sent twice, because a `configure` that was cut off may have been carried out.
 */
import { createConnection, type Socket } from "node:net";
import { FleetError } from "@muster/protocol/errors";
import { type BirdFraming, type BirdReply, birdFraming, lastCode } from "../bird/framing.ts";
import { socketIdentity } from "./socket-identity.ts";

export type BirdOptions = {
  readonly socketPath: string;
  /** Sends `restrict` first: the connection can only read. */
  readonly restricted: boolean;
  /** For connecting, and for each whole reply. */
  readonly timeout_ms: number;
  /** Default 32 MiB, which 10,000 sessions with all about them stay below. */
  readonly max_reply_bytes?: number;
  /** Gets the lines that BIRD sends unasked (`+…`), as the notice that an undo timer ran out. */
  readonly onNotice?: (text: string) => void;
};

export type BirdConnection = {
  /**
   * Sends one line and gives its whole reply, also one that refuses: see `requireAccepted`.
   * @throws BIRD_UNREACHABLE no connection, lost or silent; BIRD_REPLY unreadable or too long; BIRD_REFUSED `restrict`
   * was refused; CANCELLED closed or aborted; INVALID a command of more than one line or 4,000 bytes
   */
  command(text: string, options?: { readonly timeout_ms?: number }): Promise<BirdReply>;
  /** Ends the connection; commands that wait are rejected with CANCELLED. */
  close(): void;
};

type Waiter = { readonly resolve: (reply: BirdReply) => void; readonly reject: (error: FleetError) => void };
type Link = {
  readonly socket: Socket;
  readonly identity: string;
  waiter: Waiter | null;
  error: FleetError | null;
};

const DEFAULT_MAX_REPLY_BYTES = 32 * 1024 * 1024;
/** BIRD's own input buffer is 4,096 bytes. */
const MAX_COMMAND_BYTES = 4_000;
const MAX_QUEUED = 100;

/** Makes the connection object; the socket is opened by the first command. `signal` is its lifetime. */
export function connectBird(options: BirdOptions, signal: AbortSignal): BirdConnection {
  const { socketPath, timeout_ms } = options;
  const max_reply_bytes = options.max_reply_bytes ?? DEFAULT_MAX_REPLY_BYTES;
  const closing = new AbortController();
  let link: Link | null = null;
  let queue: Promise<unknown> = Promise.resolve();
  let queued = 0;

  const shut = () => {
    closing.abort();
    signal.removeEventListener("abort", shut);
    if (link !== null) fail(link, cancelled());
    link = null;
  };
  if (signal.aborted) closing.abort();
  else signal.addEventListener("abort", shut, { once: true });

  const current = async (): Promise<Link> => {
    const identity = socketIdentity(socketPath, "BIRD_UNREACHABLE");
    if (closing.signal.aborted) throw cancelled();
    if (link !== null && link.error === null && link.identity === identity) return link;
    if (link !== null) fail(link, new FleetError("BIRD_UNREACHABLE", `${socketPath} was made anew`));
    const fresh = openLink(socketPath, identity, birdFraming(max_reply_bytes), options.onNotice);
    link = fresh;
    await awaitReply(fresh, null, timeout_ms, `${socketPath} sent no greeting`);
    if (options.restricted) {
      const reply = await awaitReply(
        fresh,
        "restrict",
        timeout_ms,
        `${socketPath}: \`restrict\` had no answer`,
      );
      if (lastCode(reply) !== 16) {
        const error = new FleetError("BIRD_REFUSED", `\`restrict\`: ${reply.lines.at(-1)?.text ?? ""}`);
        fail(fresh, error);
        throw error;
      }
    }
    return fresh;
  };

  const run = async (text: string, limit_ms: number): Promise<BirdReply> => {
    if (closing.signal.aborted) throw cancelled();
    const ready = await current();
    return awaitReply(
      ready,
      text,
      limit_ms,
      `\`${text.slice(0, 80)}\` had no whole answer within ${limit_ms} ms`,
    );
  };

  return {
    async command(text, limits = {}) {
      if (/[\r\n\0]/.test(text) || Buffer.byteLength(text) > MAX_COMMAND_BYTES) {
        throw new FleetError("INVALID", `a BIRD command is one line of at most ${MAX_COMMAND_BYTES} bytes`);
      }
      if (queued >= MAX_QUEUED)
        throw new FleetError("BIRD_UNREACHABLE", `${MAX_QUEUED} commands wait already`);
      queued += 1;
      const result = queue.then(() => run(text, limits.timeout_ms ?? timeout_ms));
      queue = result.then(
        () => undefined,
        // The caller has the error; the queue only needs to know that the turn is over.
        () => undefined,
      );
      try {
        return await result;
      } finally {
        queued -= 1;
      }
    },
    close: shut,
  };
}

function openLink(
  socketPath: string,
  identity: string,
  framing: BirdFraming,
  onNotice: ((text: string) => void) | undefined,
): Link {
  const socket = createConnection(socketPath);
  const link: Link = { socket, identity, waiter: null, error: null };
  socket.on("data", (chunk: Buffer) => {
    try {
      for (const event of framing.push(chunk)) {
        if (event.kind === "notice") {
          onNotice?.(event.text);
          continue;
        }
        const waiter = link.waiter;
        if (waiter === null) throw new FleetError("BIRD_REPLY", "a reply that nobody asked for");
        link.waiter = null;
        waiter.resolve(event.reply);
      }
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      fail(link, error);
    }
  });
  socket.on("error", (cause) => {
    fail(link, new FleetError("BIRD_UNREACHABLE", `${socketPath}: ${cause.message}`, { cause }));
  });
  socket.on("close", () =>
    fail(link, new FleetError("BIRD_UNREACHABLE", `${socketPath}: BIRD closed the connection`)),
  );
  return link;
}

/** Sends `text` (null: the greeting is awaited) and waits for one reply; a link that was too slow is dropped. */
function awaitReply(link: Link, text: string | null, limit_ms: number, silence: string): Promise<BirdReply> {
  return new Promise((resolve, reject) => {
    if (link.error !== null) {
      reject(link.error);
      return;
    }
    const timer = setTimeout(() => fail(link, new FleetError("BIRD_UNREACHABLE", silence)), limit_ms);
    link.waiter = {
      resolve: (reply) => {
        clearTimeout(timer);
        resolve(reply);
      },
      reject: (error) => {
        clearTimeout(timer);
        reject(error);
      },
    };
    if (text !== null) link.socket.write(`${text}\n`);
  });
}

/** The first error of a link stands; the command under way gets it, and the next one makes a new link. */
function fail(link: Link, error: FleetError): void {
  if (link.error !== null) return;
  link.error = error;
  const waiter = link.waiter;
  link.waiter = null;
  link.socket.destroy();
  waiter?.reject(error);
}

function cancelled(): FleetError {
  return new FleetError("CANCELLED", "the connection to BIRD was closed");
}
