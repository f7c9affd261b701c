/** Shows that something goes on, once it has taken a second: one line that is rewritten on a terminal, else a line now and then. */
import type { Terminal } from "./output.ts";
import { durationText } from "./words.ts";

export type Progress = {
  /** Says what is done now; a function is asked only when it is shown. */
  update(text: string | (() => string)): void;
  /** Takes the line away. */
  done(): void;
};

const SHOW_AFTER_MS = 1_000;
const REWRITE_MS = 200;
const REPEAT_MS = 10_000;

export function openProgress(terminal: Terminal, first_text: string): Progress {
  const began = performance.now();
  const rewrites = terminal.stderr.isTTY === true;
  let text: string | (() => string) = first_text;
  let shown = false;
  let said_ms = 0;
  const draw = (): void => {
    const passed_ms = performance.now() - began;
    if (passed_ms < SHOW_AFTER_MS) return;
    if (!rewrites && shown && passed_ms - said_ms < REPEAT_MS) return;
    const now = typeof text === "string" ? text : text();
    const line = `${now}  ${durationText(Math.floor(passed_ms / 1_000) * 1_000)}`;
    terminal.stderr.write(rewrites ? `\r\u001b[K${line}` : `${line}\n`);
    said_ms = passed_ms;
    shown = true;
  };
  const timer = setInterval(draw, REWRITE_MS);
  timer.unref();
  return {
    update(next) {
      text = next;
      if (shown) draw();
    },
    done() {
      clearInterval(timer);
      if (shown && rewrites) terminal.stderr.write("\r\u001b[K");
    },
  };
}
