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
export type BirdReply = {
  /** The lines as they came, code and mark included: of a long reply the cheaper form. */
  readonly raw: readonly string[];
  readonly lines: readonly BirdLine[];
};

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
  let raw: string[] = [];
  let bytes = 0;

  const takeLine = (line: string): BirdEvent | null => {
    const mark = line.charCodeAt(0);
    if (mark === PLUS) return { kind: "notice", text: line.slice(1) };
    if (mark === SPACE) {
      if (raw.length === 0) throw unreadable(line, "a continuation without a line before it");
      raw.push(line);
      return null;
    }
    const after = hasCode(line) ? line.charCodeAt(4) : 0;
    if (after !== SPACE && after !== DASH) throw unreadable(line, "neither a code nor a continuation");
    raw.push(line);
    if (after === DASH) return null;
    const reply = replyOf(raw);
    raw = [];
    return { kind: "reply", reply };
  };

  return {
    push(chunk) {
      const events: BirdEvent[] = [];
      bytes += chunk.byteLength;
      const parts = decoder.write(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)).split("\n");
      const last = parts.length - 1;
      for (let at = 0; at <= last; at += 1) {
        let line = parts[at] ?? "";
        if (at === last || rest.length > 0) {
          rest.push(line);
          if (at === last) break;
          line = rest.join("");
          rest = [];
        }
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
      return raw.length > 0 || rest.some((part) => part !== "");
    },
  };
}

const [SPACE, PLUS, DASH, ZERO, NINE] = [32, 43, 45, 48, 57];

function hasCode(line: string): boolean {
  for (let at = 0; at < 4; at += 1) {
    const char = line.charCodeAt(at);
    if (!(char >= ZERO && char <= NINE)) return false;
  }
  return true;
}

/** Of lines as they came; the first has a code. */
export function replyOf(raw: readonly string[]): BirdReply {
  let lines: BirdLine[] | null = null;
  return {
    raw,
    get lines() {
      let code = 0;
      lines ??= raw.map((line) => {
        if (line.charCodeAt(0) === SPACE) return { code, text: line.slice(1) };
        code = Number(line.slice(0, 4));
        return { code, text: line.slice(5) };
      });
      return lines;
    },
  };
}

/** Code of the reply's last line, 0 for an empty one. */
export function lastCode(reply: BirdReply): number {
  return Number(reply.raw.at(-1)?.slice(0, 4) ?? 0);
}

/** Text of the reply's last line, "" for an empty one. */
export function lastText(reply: BirdReply): string {
  return reply.raw.at(-1)?.slice(5) ?? "";
}

/** Throws BIRD_REFUSED with BIRD's own words if the reply ended with a code of 8000 or above. */
export function requireAccepted(reply: BirdReply, command: string): BirdReply {
  const code = lastCode(reply);
  if (code >= 8000) throw new FleetError("BIRD_REFUSED", `\`${command}\`: ${lastText(reply)} (${code})`);
  return reply;
}

function unreadable(line: string, why: string): FleetError {
  return new FleetError("BIRD_REPLY", `${why}: ${JSON.stringify(line.slice(0, 120))}`);
}
