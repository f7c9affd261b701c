/** RPC `logs`: the journal, or what a container says, as a stream. journalctl chooses and follows, one process a stream; it ends with the stream. */
import type { Call } from "@muster/ports/dispatch";
import type { OpenedStream, RpcRequest } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import { cutText, ENTRY_LIMIT, journalArguments, journalEntry } from "../journal.ts";
import { lineSplitter } from "../ports/lines.ts";
import type { RpcDoor } from "./door.ts";

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
                await write(journalEntry(line).line);
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
