/** What a container says, line by line, as the engine keeps it and as it comes. Read no faster than it is taken. */
import type { Priority } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import type { DockerEngine } from "./docker.ts";
import { lineSplitter } from "./lines.ts";

const LINE_LIMIT = 64 * 1024;
const HEAD_BYTES = 8;

export type ContainerLine = {
  readonly at: number;
  readonly priority: Priority | null;
  readonly text: string;
};
export type LogWish = {
  readonly follow: boolean;
  /** Not older than this. */
  readonly since: number | null;
  /** Of the past at most so many. */
  readonly last: number;
};

/** Resolves at the end of the log; with `follow` when the container has ended. Errors: those of the engine, as it gives them, and of `take`. */
export async function readLogs(
  docker: DockerEngine,
  name: string,
  wish: LogWish,
  take: (line: ContainerLine) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const { Config } = await docker.getContainer(name).inspect({ abortSignal: signal });
  const stream = await openLogs(docker, name, wish, signal);
  const text = new TextDecoder();
  const split = lineSplitter(LINE_LIMIT);
  try {
    // A container with a terminal has one stream without heads.
    const pieces = Config.Tty ? stream : framed(stream);
    for await (const piece of pieces as AsyncIterable<Uint8Array>)
      for (const line of split(text.decode(piece, { stream: true }))) await take(lineOf(line));
  } catch (error) {
    if (signal.aborted) throw new FleetError("CANCELLED", `logs of ${name}`, { cause: error });
    throw error;
  }
  for (const line of split("\n")) if (line !== "") await take(lineOf(line));
}

/** As `container.logs`, which gathers all of it in memory unless it follows. */
function openLogs(
  docker: DockerEngine,
  name: string,
  wish: LogWish,
  signal: AbortSignal,
): Promise<NodeJS.ReadableStream> {
  const options = {
    stdout: true,
    stderr: true,
    timestamps: true,
    follow: wish.follow,
    tail: wish.last,
    ...(wish.since === null ? {} : { since: (wish.since / 1_000).toFixed(3) }),
  };
  return new Promise((resolve, reject) => {
    docker.modem.dial(
      {
        path: `/containers/${encodeURIComponent(name)}/logs?`,
        method: "GET",
        isStream: true,
        abortSignal: signal,
        statusCodes: { 101: true, 200: true, 404: "no such container", 500: "server error" },
        options,
      },
      (error: unknown, stream: unknown) =>
        error === null || error === undefined
          ? resolve(stream as NodeJS.ReadableStream)
          : reject(error as Error),
    );
  });
}

/** The payload of Docker's stream format: heads of 8 bytes (stream, three zeros, length, big-endian). */
async function* framed(stream: NodeJS.ReadableStream): AsyncGenerator<Uint8Array> {
  let rest: Buffer = Buffer.alloc(0);
  let left = 0;
  for await (const part of stream as AsyncIterable<Buffer>) {
    rest = rest.length === 0 ? part : Buffer.concat([rest, part]);
    for (;;) {
      if (left > 0) {
        if (rest.length === 0) break;
        const piece = rest.subarray(0, left);
        left -= piece.length;
        rest = rest.subarray(piece.length);
        yield piece;
      } else {
        if (rest.length < HEAD_BYTES) break;
        left = rest.readUInt32BE(4);
        rest = rest.subarray(HEAD_BYTES);
      }
    }
  }
}

/** `2026-11-21T03:12:07.123456789Z text`. */
function lineOf(line: string): ContainerLine {
  const blank = line.indexOf(" ");
  const at = Date.parse(line.slice(0, blank).replace(/(\.\d{3})\d+/, "$1"));
  const text = Number.isNaN(at) ? line : line.slice(blank + 1);
  return { at: Number.isNaN(at) ? 0 : at, priority: null, text: text.replace(/\r$/, "") };
}
