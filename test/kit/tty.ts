/**
 * A program in a real pseudo-terminal (`script` of util-linux, which every Debian has), and what stands on its screen: keys go in as a person types
 * them, the screen is read as a terminal would show it.
 */
import { spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { patienceOf } from "./patience.ts";

export type Tty = {
  /** As typed: `"\u0003"` is ^C, as the terminal makes a signal of it. */
  type(keys: string): void;
  /** Lines of the screen, blanks at their ends left out. */
  screen(): string[];
  /** All that was written, control sequences too. */
  raw(): string;
  /** Waits until the screen's text fits; the error shows the screen. */
  until(what: string, fits: (text: string) => boolean, limit_ms?: number): Promise<string>;
  resize(rows: number, columns: number): Promise<void>;
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Hangs up, whatever the program does. */
  close(): void;
  readonly ended: Promise<number>;
};

const quoted = (word: string) => `'${word.replaceAll("'", `'\\''`)}'`;

export function openTty(
  argv: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv; rows?: number; columns?: number } = {},
): Tty {
  const { rows = 30, columns = 110 } = options;
  // The first line says the terminal's own name and the program's process id, for `resize` and `kill`.
  const script = `stty rows ${rows} cols ${columns}; echo "tty $(tty) pid $$"; exec ${argv.map(quoted).join(" ")}`;
  const child = spawn("script", ["-qefc", `exec sh -c ${quoted(script)}`, "/dev/null"], {
    cwd: options.cwd,
    env: { ...process.env, TERM: "xterm-256color", SHELL: "/bin/sh", ...options.env },
    stdio: ["pipe", "pipe", "inherit"],
  });
  let raw = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    raw += text;
  });
  const ended = new Promise<number>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve(code ?? (signal === null ? -1 : 128)));
  });
  const place = async () => {
    for (const patience = patienceOf(5_000); !patience.over(); await sleep(25)) {
      const found = /tty (\S+) pid (\d+)/.exec(raw);
      if (found !== null) return { name: found[1] ?? "", pid: Number(found[2]) };
    }
    throw new Error(`no terminal came up: ${raw}`);
  };
  const tty: Tty = {
    type: (keys) => void child.stdin.write(keys),
    screen: () => screenOf(raw),
    raw: () => raw,
    async until(what, fits, limit_ms = 10_000) {
      const patience = patienceOf(limit_ms);
      for (;;) {
        const text = screenOf(raw).join("\n");
        if (fits(text)) return text;
        if (patience.over()) throw new Error(`${what}: not after ${patience.text()}; the screen is\n${text}`);
        await sleep(20);
      }
    },
    async resize(to_rows, to_columns) {
      const { name } = await place();
      const set = spawn("stty", ["-F", name, "rows", String(to_rows), "cols", String(to_columns)]);
      await new Promise((resolve) => set.once("close", resolve));
    },
    async kill(signal) {
      process.kill((await place()).pid, signal);
    },
    close: () => void child.kill("SIGKILL"),
    ended,
  };
  return tty;
}

/** What a terminal shows after these bytes: as much of ECMA-48 as our programs write. Anything else is an error, not a guess. */
export function screenOf(raw: string): string[] {
  let lines: string[][] = [[]];
  let kept: string[][] = lines;
  let row = 0;
  let column = 0;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it reads.
  for (const part of raw.match(/\u001b\[[?0-9;]*[A-Za-z]|[\s\S]/gu) ?? []) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: as above.
    const control = part.length > 1 ? /^\u001b\[([?0-9;]*)([A-Za-z])$/.exec(part) : null;
    if (control === null) {
      if (part === "\r") column = 0;
      else if (part === "\n") row += 1;
      else {
        lines[row] ??= [];
        const line = lines[row] ?? [];
        while (line.length < column) line.push(" ");
        line[column] = part;
        column += 1;
      }
      continue;
    }
    const [, given = "", kind] = control;
    const [first = 1, second = 1] = given.split(";").map((number) => (number === "" ? 1 : Number(number)));
    if (kind === "m") continue;
    if (kind === "H") {
      row = first - 1;
      column = second - 1;
    } else if (kind === "K") lines[row]?.splice(column);
    else if (kind === "J" && given === "2") lines = [];
    else if (kind === "J" && given === "") {
      lines[row]?.splice(column);
      lines.splice(row + 1);
    } else if (given === "?1049" && kind === "h") {
      kept = lines;
      lines = [];
    } else if (given === "?1049" && kind === "l") lines = kept;
    else if (!given.startsWith("?25") && !given.startsWith("?2004"))
      throw new Error(`unknown control sequence ESC[${given}${kind}`);
  }
  return Array.from(lines, (line) => (line ?? []).join("").trimEnd());
}
