/**
 * The terminal while `ctl watch` has it: its other screen, keys one by one, and lines that are only written when they changed. It is given back as it
 * was at the end, at a signal and at a crash (before the stack is printed).
 */
import type { Terminal } from "../output/output.ts";
import type { Size } from "./view.ts";

/** What a terminal's streams can beside those of `Terminal`; Node's `tty` streams do. */
type Tty = {
  readonly columns?: number;
  readonly rows?: number;
  on(name: string, listener: (...all: never[]) => void): unknown;
  off(name: string, listener: (...all: never[]) => void): unknown;
};

const ENTER = "\u001b[?1049h\u001b[?25l\u001b[2J";
const LEAVE = "\u001b[0m\u001b[?25h\u001b[?1049l";

export type Screen = {
  readonly size: Size;
  draw(lines: readonly string[]): void;
  /** Gives the terminal back. Once is enough, twice does no harm. */
  close(): void;
};

export function openScreen(
  terminal: Terminal,
  heard: { keys: (text: string) => void; resized: () => void },
): Screen {
  const out = terminal.stdout as Terminal["stdout"] & Tty;
  const input = terminal.stdin as Terminal["stdin"] & Tty & { setRawMode?(on: boolean): unknown };
  let shown: readonly string[] = [];
  let open = true;
  const read = (bytes: Uint8Array | string) => heard.keys(bytes.toString());
  const resized = () => {
    // What a terminal does with its lines at a new size differs: all are written anew.
    shown = [];
    out.write("\u001b[2J");
    heard.resized();
  };
  const close = () => {
    if (!open) return;
    open = false;
    input.setRawMode?.(false);
    input.off("data", read);
    input.pause();
    out.off("resize", resized);
    process.off("exit", close);
    process.off("uncaughtExceptionMonitor", close);
    out.write(LEAVE);
  };
  process.on("exit", close);
  process.on("uncaughtExceptionMonitor", close);
  input.setRawMode?.(true);
  input.on("data", read as never);
  input.resume();
  out.on("resize", resized);
  out.write(ENTER);
  return {
    get size() {
      return { rows: out.rows ?? 24, columns: out.columns ?? 80 };
    },
    draw(lines) {
      if (!open) return;
      let text = "";
      for (const [at, line] of lines.entries())
        if (shown[at] !== line) text += `\u001b[${at + 1};1H${line}\u001b[0m\u001b[K`;
      if (shown.length > lines.length) text += `\u001b[${lines.length + 1};1H\u001b[J`;
      shown = lines;
      if (text !== "") out.write(text);
    },
    close,
  };
}
