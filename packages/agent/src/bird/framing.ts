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
  readonly text: string;
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

/**
 * A reply of megabytes is not cut into its lines, which would be as many things to keep: only its end is looked for.
 * @param max_reply_bytes the most bytes that one reply may have, its unfinished line included
 */
export function birdFraming(max_reply_bytes: number): BirdFraming {
  const decoder = new StringDecoder("utf8");
  /** Of the line that has not ended, and of the whole lines of the reply that has not. */
  let rest: string[] = [];
  let parts: string[] = [];
  let bytes = 0;

  /** Takes text that ends with a line. */
  const take = (text: string): BirdEvent[] => {
    const events: BirdEvent[] = [];
    /** From here on all is of the reply that is open. */
    let begin = 0;
    for (let at = 0; at < text.length; ) {
      const end = text.indexOf("\n", at);
      const mark = markOf(text, at, end, parts.length > 0 || begin < at);
      if (mark === "notice") {
        if (begin < at) parts.push(text.slice(begin, at));
        events.push({ kind: "notice", text: text.slice(at + 1, end) });
      } else if (mark === "last") {
        events.push({ kind: "reply", reply: replyOf(parts.join("") + text.slice(begin, end)) });
        parts = [];
        // What follows belongs to the next reply; counting its first bytes from 0 is exact enough for a limit.
        bytes = 0;
      }
      at = end + 1;
      if (mark !== "more") begin = at;
    }
    if (begin < text.length) parts.push(text.slice(begin));
    return events;
  };

  return {
    push(chunk) {
      bytes += chunk.byteLength;
      const text = decoder.write(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
      const whole = text.lastIndexOf("\n") + 1;
      let events: BirdEvent[] = [];
      if (whole > 0) {
        events = take(rest.join("") + text.slice(0, whole));
        rest = [];
      }
      if (whole < text.length) rest.push(text.slice(whole));
      if (bytes > max_reply_bytes) {
        throw new FleetError("BIRD_REPLY", `longer than the limit of ${max_reply_bytes} bytes`);
      }
      return events;
    },
    get open() {
      return parts.length > 0 || rest.length > 0;
    },
  };
}

const [SPACE, PLUS, DASH, ZERO, NINE] = [32, 43, 45, 48, 57];

/** What the line at `at` is to the reply, of which there is something already or not. @throws BIRD_REPLY for what is none */
function markOf(text: string, at: number, end: number, open: boolean): "notice" | "more" | "last" {
  const first = text.charCodeAt(at);
  if (first === SPACE && open) return "more";
  if (first === PLUS) return "notice";
  const after = hasCode(text, at) ? text.charCodeAt(at + 4) : 0;
  if (after === DASH) return "more";
  if (after === SPACE) return "last";
  const why =
    first === SPACE ? "a continuation without a line before it" : "neither a code nor a continuation";
  throw new FleetError("BIRD_REPLY", `${why}: ${JSON.stringify(text.slice(at, Math.min(end, at + 120)))}`);
}

function hasCode(text: string, begin: number): boolean {
  for (let at = begin; at < begin + 4; at += 1) {
    const char = text.charCodeAt(at);
    if (!(char >= ZERO && char <= NINE)) return false;
  }
  return true;
}

/** Of lines as they came, the last without its end; the first has a code. */
export function replyOf(text: string): BirdReply {
  let lines: BirdLine[] | null = null;
  return {
    text,
    get lines() {
      let code = 0;
      lines ??= text.split("\n").map((line) => {
        if (line.charCodeAt(0) === SPACE) return { code, text: line.slice(1) };
        code = Number(line.slice(0, 4));
        return { code, text: line.slice(5) };
      });
      return lines;
    },
  };
}

const lastLine = ({ text }: BirdReply): string => text.slice(text.lastIndexOf("\n") + 1);

/** Code of the reply's last line, 0 for an empty one. */
export const lastCode = (reply: BirdReply): number => Number(lastLine(reply).slice(0, 4));

/** Text of the reply's last line, "" for an empty one. */
export const lastText = (reply: BirdReply): string => lastLine(reply).slice(5);

/** Throws BIRD_REFUSED with BIRD's own words if the reply ended with a code of 8000 or above. */
export function requireAccepted(reply: BirdReply, command: string): BirdReply {
  const code = lastCode(reply);
  if (code >= 8000) throw new FleetError("BIRD_REFUSED", `\`${command}\`: ${lastText(reply)} (${code})`);
  return reply;
}
