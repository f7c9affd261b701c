/** Asks a person. Questions go to standard error, so that a result can be piped; an answer comes from the terminal only. */
import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import type { Terminal } from "./output.ts";

/** One line that the person types; null when the input ends or ^C comes first. `hidden` shows nothing of it. */
export function askLine(terminal: Terminal, question: string, hidden: boolean): Promise<string | null> {
  terminal.stderr.write(question);
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({
    input: terminal.stdin,
    output: hidden ? nowhere : terminal.stderr,
    terminal: terminal.stdin.isTTY === true,
    historySize: 0,
  });
  return new Promise((resolve) => {
    let answer: string | null = null;
    lines.once("line", (line) => {
      answer = line;
      lines.close();
    });
    lines.once("SIGINT", () => lines.close());
    lines.once("close", () => {
      if (hidden || answer === null) terminal.stderr.write("\n");
      resolve(answer);
    });
  });
}
