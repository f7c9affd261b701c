/** RPC `logs`: the journal, or what a container says, as a stream. journalctl chooses and follows, one process a stream; it ends with the stream. */
import type { Call } from "@muster/ports/dispatch";
import type { LogLine, OpenedStream, RpcRequest } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import { LOG_TEXT_LIMIT, PRIORITIES } from "@muster/protocol/rpc/logs";
import { z } from "zod";
import { lineSplitter } from "../ports/lines.ts";
import type { RpcDoor } from "./door.ts";

/** An entry of the journal may hold a whole core dump; of more than this as JSON nothing can be shown. */
const ENTRY_LIMIT = 1024 * 1024;
const WORDS_LIMIT = 2_000;

export const logs =
  (door: RpcDoor) =>
  (request: RpcRequest<"logs">, call: Call): OpenedStream => {
    const { confined } = door.ports;
    const { container } = request;
    if (container !== null && (request.grep !== null || request.priority !== null))
      throw new FleetError("UNSUPPORTED", "a container's log is not chosen by pattern or priority here");
    if (confined !== null)
      throw new FleetError("UNSUPPORTED", `the journal is the whole machine's: ${confined}`);
    return door.streams.open<"logs">(call, async (write, signal) => {
      let lines = 0;
      if (container !== null) {
        await door.ports.docker.logs(
          container,
          { follow: request.follow, since: request.since, last: request.last },
          async (line) => {
            lines += 1;
            await write({ ...line, from: container, ...cutText(line.text) });
          },
          signal,
        );
        return { lines };
      }
      let words = "";
      const split = lineSplitter(ENTRY_LIMIT);
      const { code, ended_by } = await door.ports.runStreamed(
        "journalctl",
        journalArguments(request),
        {
          on_output: async (from, text) => {
            if (from === "stderr") words = (words + text).slice(0, WORDS_LIMIT);
            else
              for (const line of split(text)) {
                lines += 1;
                await write(entryOf(line));
              }
          },
        },
        signal,
      );
      // With nothing found journalctl ends with 1 and no words, if it is given a pattern.
      if (code === 0 || (code === 1 && words.trim() === "" && request.grep !== null)) return { lines };
      throw new FleetError("COMMAND_FAILED", `journalctl: ${words.trim() || (ended_by ?? `code ${code}`)}`);
    });
  };

export function journalArguments(request: RpcRequest<"logs">): string[] {
  return [
    "--output=json",
    "--output-fields=MESSAGE,PRIORITY,SYSLOG_IDENTIFIER,_COMM,_SYSTEMD_UNIT",
    "--all",
    "--quiet",
    "--no-pager",
    `--lines=${request.last}`,
    ...(request.follow ? ["--follow"] : []),
    ...request.units.map((unit) => `--unit=${unit}`),
    ...(request.since === null ? [] : [`--since=@${(request.since / 1_000).toFixed(3)}`]),
    ...(request.grep === null ? [] : [`--grep=${request.grep}`, "--case-sensitive=yes"]),
    ...(request.priority === null ? [] : [`--priority=${request.priority}`]),
  ];
}

/** A text, bytes where it is no UTF-8, several where a field was given more than once. */
const Field = z.union([
  z.string(),
  z.array(z.number()).transform((bytes) => Buffer.from(bytes).toString("utf8")),
  z
    .array(z.union([z.string(), z.array(z.number())]))
    .transform((all) => all.filter((each) => typeof each === "string").join(" ")),
]);
const Entry = z.object({
  __REALTIME_TIMESTAMP: z.coerce.number(),
  MESSAGE: Field.nullish(),
  PRIORITY: Field.nullish(),
  SYSLOG_IDENTIFIER: Field.nullish(),
  _COMM: Field.nullish(),
  _SYSTEMD_UNIT: Field.nullish(),
});

/** A line of `journalctl --output=json` (systemd.journal-fields(7)). What cannot be read is shown as what it is, not left out. */
export function entryOf(line: string): LogLine {
  let found: z.infer<typeof Entry> | undefined;
  try {
    found = Entry.safeParse(JSON.parse(line)).data;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  if (found === undefined) {
    // The time stands near the beginning of an entry, also of one that was cut.
    const at = Number(/"__REALTIME_TIMESTAMP"\s*:\s*"(\d+)"/.exec(line)?.[1] ?? 0);
    return {
      at: Math.floor(at / 1_000),
      from: "journal",
      priority: null,
      text: `(an entry that cannot be read, ${line.length} characters or more)`,
      cut: true,
    };
  }
  const text = (found.MESSAGE ?? "").trimEnd();
  return {
    at: Math.floor(found.__REALTIME_TIMESTAMP / 1_000),
    from: (found.SYSLOG_IDENTIFIER ?? found._COMM ?? found._SYSTEMD_UNIT ?? "?").slice(0, 256),
    priority: PRIORITIES[Number(found.PRIORITY ?? Number.NaN)] ?? null,
    ...cutText(text),
  };
}

const cutText = (text: string) => ({
  text: text.slice(0, LOG_TEXT_LIMIT),
  cut: text.length > LOG_TEXT_LIMIT,
});
