/** A line of a log as a person reads it. Pure. What a log holds is somebody else's text: no control character of it reaches the terminal. */
import type { LogLine } from "@muster/protocol/rpc/logs";
import type { Colour } from "../output/colour.ts";

const URGENT = ["emerg", "alert", "crit", "err"];

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it is about.
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

/** Control characters and reversals of the reading direction as `\x1b`; tabs become spaces, line breaks stay. */
export const printable = (text: string): string =>
  text
    .replaceAll("\t", "    ")
    .replaceAll("\r\n", "\n")
    .replace(CONTROL, (letter) => {
      const code = letter.charCodeAt(0);
      return code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16)}`;
    });

/** `2026-11-21 03:12:07  ixp1  bird  text`; the host's name, padded to `width`, only where there is more than one (`host` null). */
export function logLines(host: string | null, width: number, line: LogLine, colour: Colour): string[] {
  const at = new Date(line.at).toISOString().slice(0, 19).replace("T", " ");
  const name = host === null ? "" : `${colour.bold(host.padEnd(width))}  `;
  const paint =
    line.priority !== null && URGENT.includes(line.priority)
      ? colour.red
      : line.priority === "warning"
        ? colour.amber
        : (text: string) => text;
  const [first = "", ...rest] = printable(line.text).split("\n");
  const end = line.cut ? colour.dim(" … (cut)") : "";
  const all = [first, ...rest.map((text) => `    ${text}`)];
  return all.map(
    (text, at_line) =>
      `${colour.dim(at)}  ${name}${printable(line.from).replaceAll("\n", " ")}  ${paint(text)}${at_line === all.length - 1 ? end : ""}`,
  );
}
