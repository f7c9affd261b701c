/**
 * A BIRD control socket that replays transcripts: a real unix socket, real framing, and as hostile a chunking as asked
 * for. It answers each command with the text given for it, and records what it was sent.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Cuts a reply's bytes into the chunks in which it is written. */
export type Chunking = (bytes: Buffer) => Buffer[];

/** What to do with a command: these bytes; `silent` never answers; `hang up` closes, after `begin` if given. */
export type FakeAnswer = string | Buffer | "silent" | { readonly hangUpAfter: string };

export type FakeBird = {
  readonly socketPath: string;
  /** Commands as they came, over all connections. */
  readonly received: string[];
  /** How many connections were ever made. */
  connections: number;
  /** Answers by command; change it at will. Unknown commands get 9001 as from BIRD. */
  readonly answers: Map<string, FakeAnswer>;
  start(): Promise<void>;
  /** Closes all connections and removes the socket, as BIRD does when it ends. */
  stop(): Promise<void>;
  /** Sends bytes unasked to every connection. */
  say(text: string): void;
  /** Stops it and removes its directory. */
  dispose(): Promise<void>;
};

/** One byte a write, through every multi-byte character. */
export const byteByByte: Chunking = (bytes) => Array.from(bytes, (byte) => Buffer.from([byte]));
export const whole: Chunking = (bytes) => [bytes];
export const chunksOf =
  (size_bytes: number): Chunking =>
  (bytes) => {
    const chunks: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += size_bytes) chunks.push(bytes.subarray(at, at + size_bytes));
    return chunks;
  };

/** The raw bytes of a file under test/transcripts/bird, by version and name. */
export function transcript(version: string, name: string): string {
  return readFileSync(new URL(`../transcripts/bird/${version}/${name}.txt`, import.meta.url), "utf8");
}

/** Not started yet. The socket lies in a directory of its own. */
export function fakeBird(
  options: { readonly greeting?: string; readonly chunking?: Chunking } = {},
): FakeBird {
  const directory = mkdtempSync(join(tmpdir(), "fake-bird-"));
  const socketPath = join(directory, "bird.ctl");
  const chunking = options.chunking ?? whole;
  const sockets = new Set<Socket>();
  let server: Server | null = null;

  const send = async (socket: Socket, text: string | Buffer): Promise<void> => {
    for (const chunk of chunking(Buffer.from(text))) {
      if (socket.destroyed) return;
      // One turn a chunk, so that the kernel does not join them again.
      await new Promise<void>((resolve) => socket.write(chunk, () => setImmediate(resolve)));
    }
  };

  const fake: FakeBird = {
    socketPath,
    received: [],
    connections: 0,
    answers: new Map(),
    start: () =>
      new Promise((resolve, reject) => {
        server = createServer((socket) => {
          fake.connections += 1;
          sockets.add(socket);
          socket.on("close", () => sockets.delete(socket));
          socket.on("error", () => socket.destroy());
          let rest = "";
          let writing = send(socket, options.greeting ?? "0001 BIRD 2.0.12 ready.\n");
          socket.on("data", (chunk) => {
            const lines = (rest + chunk.toString("utf8")).split("\n");
            rest = lines.pop() ?? "";
            for (const line of lines) {
              fake.received.push(line);
              const answer = fake.answers.get(line) ?? "9001 syntax error, unexpected CF_SYM_UNDEFINED\n";
              if (answer === "silent") continue;
              writing = writing.then(async () => {
                if (typeof answer === "string" || Buffer.isBuffer(answer)) return send(socket, answer);
                await send(socket, answer.hangUpAfter);
                socket.end();
              });
            }
          });
        });
        server.once("error", reject);
        server.listen(socketPath, () => resolve());
      }),
    stop: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        if (server === null) resolve();
        else server.close(() => resolve());
        server = null;
      }),
    say(text) {
      for (const socket of sockets) socket.write(text);
    },
    async dispose() {
      await fake.stop();
      rmSync(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
    },
  };
  return fake;
}
