/**
 * The framing of BIRD's control protocol, without a socket: bytes in, whole lines with their codes out.
 * A reply line is four digits, then `-` (more follow) or one space (the last one, whatever its code), then text;
 * a line that begins with one space repeats the previous code; a line that begins with `+` is unsolicited.
 * Source: BIRD programmer's documentation, "Command line interface" (nest/cli.c).
 */
import { StringDecoder } from "node:string_decoder";
import { FleetError } from "@muster/protocol/errors";

export type BirdLine = { readonly code: number; readonly text: string };

/** One whole reply; the last line's code says how it ended (≥ 8000 refused, ≥ 9000 not understood). */
export type BirdReply = { readonly lines: readonly BirdLine[] };

export type BirdEvent =
  | { readonly kind: "reply"; readonly reply: BirdReply }
  | { readonly kind: "notice"; readonly text: string };

export type BirdFraming = {
  /** Takes a chunk as it came and gives what it completed. Throws BIRD_REPLY; the stream is lost then. */
  push(chunk: Uint8Array): BirdEvent[];
  /** True while a reply has begun and not ended. */
  readonly open: boolean;
};

/** @param max_reply_bytes the most bytes that one reply may have, its unfinished line included */
export function birdFraming(max_reply_bytes: number): BirdFraming {
  const decoder = new StringDecoder("utf8");
  let rest: string[] = [];
  let lines: BirdLine[] = [];
  let bytes = 0;

  const takeLine = (line: string): BirdEvent | null => {
    if (line.startsWith("+")) return { kind: "notice", text: line.slice(1) };
    if (line.startsWith(" ")) {
      const previous = lines.at(-1);
      if (previous === undefined) throw unreadable(line, "a continuation without a line before it");
      lines.push({ code: previous.code, text: line.slice(1) });
      return null;
    }
    const match = /^(\d{4})([- ])(.*)$/s.exec(line);
    if (match === null) throw unreadable(line, "neither a code nor a continuation");
    const [, code = "", mark, text = ""] = match;
    lines.push({ code: Number(code), text });
    if (mark === "-") return null;
    const reply = { lines };
    lines = [];
    return { kind: "reply", reply };
  };

  return {
    push(chunk) {
      const events: BirdEvent[] = [];
      bytes += chunk.byteLength;
      const parts = decoder.write(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)).split("\n");
      for (const [index, part] of parts.entries()) {
        rest.push(part);
        if (index === parts.length - 1) break;
        const line = rest.join("");
        rest = [];
        const event = takeLine(line);
        if (event === null) continue;
        events.push(event);
        // What follows belongs to the next reply; counting its first bytes from 0 is exact enough for a limit.
        if (event.kind === "reply") bytes = 0;
      }
      if (bytes > max_reply_bytes) {
        throw new FleetError("BIRD_REPLY", `longer than the limit of ${max_reply_bytes} bytes`);
      }
      return events;
    },
    get open() {
      return lines.length > 0 || rest.some((part) => part !== "");
    },
  };
}

/** Code of the reply's last line, 0 for an empty one. */
export function lastCode(reply: BirdReply): number {
  return reply.lines.at(-1)?.code ?? 0;
}

/** Throws BIRD_REFUSED with BIRD's own words if the reply ended with a code of 8000 or above. */
export function requireAccepted(reply: BirdReply, command: string): BirdReply {
  const last = reply.lines.at(-1);
  if (last !== undefined && last.code >= 8000) {
    throw new FleetError("BIRD_REFUSED", `\`${command}\`: ${last.text} (${last.code})`);
  }
  return reply;
}

function unreadable(line: string, why: string): FleetError {
  return new FleetError("BIRD_REPLY", `${why}: ${JSON.stringify(line.slice(0, 120))}`);
}
