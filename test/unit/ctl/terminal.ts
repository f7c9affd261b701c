/** Runs `ctl` as a person types it, with a terminal that keeps what was written. `answers`: what the person types, a line a question. */
import { Readable, Writable } from "node:stream";
import { run } from "../../../packages/ctl/src/program/run.ts";
import { patienceOf } from "../../kit/patience.ts";

export type Ran = { readonly code: number; readonly out: string; readonly err: string };

export async function ctl(
  argv: readonly string[],
  options: {
    home: string;
    cwd?: string;
    answers?: readonly string[];
    now?: () => number;
    signal?: AbortSignal;
    /** Standard output is a terminal. */
    tty?: boolean;
    /** Hears all of standard output so far, each time that more comes. */
    on_out?: (out: string) => void;
  },
): Promise<Ran> {
  let out = "";
  let err = "";
  const keep = (take: (text: string) => void, tty: boolean) =>
    Object.assign(
      new Writable({
        write(chunk, _encoding, done) {
          take(String(chunk));
          done();
        },
      }),
      { isTTY: tty },
    );
  const interactive = options.answers !== undefined;
  const answers = [...(options.answers ?? [])];
  // A line a question: readline takes what it reads beyond a line with it when it closes.
  const stdin = Object.assign(
    new Readable({
      read() {
        const answer = answers.shift();
        setTimeout(() => this.push(answer === undefined ? null : `${answer}\n`), 5);
      },
      highWaterMark: 0,
    }),
    { isTTY: interactive, setRawMode: () => stdin },
  );
  const code = await run(
    {
      argv,
      env: { MUSTER_HOME: options.home, HOME: options.home },
      cwd: options.cwd ?? options.home,
      version: "0.0.0-test",
      terminal: {
        stdin,
        stdout: keep((text) => {
          out += text;
          options.on_out?.(out);
        }, options.tty === true),
        stderr: keep((text) => {
          err += text;
        }, interactive),
      },
      ...(options.now === undefined ? {} : { now: options.now }),
    },
    options.signal ?? new AbortController().signal,
  );
  return { code, out, err };
}

/** `ctl` while it runs: `until` gives what it wrote on standard error that fits, `type` answers a question. */
export function started(
  argv: readonly string[],
  options: { home: string; interactive?: boolean },
): { ended: Promise<Ran>; until(what: RegExp): Promise<string>; type(line: string): void } {
  let out = "";
  let err = "";
  let over = false;
  const writer = (keep: (text: string) => void, tty: boolean) =>
    Object.assign(
      new Writable({
        write(chunk, _encoding, done) {
          keep(String(chunk));
          done();
        },
      }),
      { isTTY: tty },
    );
  const interactive = options.interactive === true;
  const stdin = Object.assign(new Readable({ read() {} }), { isTTY: interactive, setRawMode: () => stdin });
  const keepErr = (text: string) => {
    err += text;
  };
  const keepOut = (text: string) => {
    out += text;
  };
  const ended = run(
    {
      argv,
      env: { MUSTER_HOME: options.home, HOME: options.home },
      cwd: options.home,
      version: "0.0.0-test",
      terminal: { stdin, stdout: writer(keepOut, false), stderr: writer(keepErr, interactive) },
    },
    new AbortController().signal,
  )
    .then((code) => ({ code, out, err }))
    .finally(() => {
      over = true;
    });
  return {
    ended,
    type: (line) => void stdin.push(`${line}\n`),
    async until(what) {
      const patience = patienceOf(30_000);
      for (;;) {
        const found = what.exec(err);
        if (found !== null) return found[0];
        if (over || patience.over()) throw new Error(`${what} did not come: ${out}${err}`);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
  };
}
