/**
 * A real server as a child process of a test: its own temporary directory, a free port, its output kept for the error when
 * it does not come up, and an end with the test.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { patienceOf } from "./patience.ts";

const OUTPUT_LIMIT = 20_000;
const READY_MS = 15_000;

export interface Child {
  readonly pid: number;
  /** What it wrote so far, the end of it. */
  output(): string;
  /** Waits until `ready` says so; throws with the output when it ends before or takes longer than 15 s (patience.ts). */
  until(ready: () => Promise<boolean>): Promise<void>;
  signal(name: NodeJS.Signals): void;
  /** Stops it (SIGSTOP) and waits until all of its threads stand still; `signal("SIGCONT")` lets it go on. */
  freeze(): Promise<void>;
  /** Ends it and waits until it is gone. */
  stop(name?: NodeJS.Signals): Promise<void>;
}

/** A directory, mode 0700, that `release` removes, or else the end of the process: it may hold keys. */
export async function temporaryDirectory(
  name: string,
): Promise<{ path: string; release: () => Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), `muster-${name}-`));
  const remove = (): void => rmSync(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  process.once("exit", remove);
  return {
    path,
    async release() {
      process.removeListener("exit", remove);
      await rm(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
    },
  };
}

/**
 * Below those that the system gives to connections (ip(7), ip_local_port_range: from 32768), one of which would take a port between our look and the
 * server's start. Processes that run at the same time begin at places of their own.
 */
const PORTS = { first: 20_000, count: 12_000, apart: 97 };
let ports_given = 0;

/** A port that is free now on loopback, and that this process has not given before. */
export async function freePort(host = "127.0.0.1"): Promise<number> {
  while (ports_given < PORTS.count) {
    const port = PORTS.first + ((process.pid * PORTS.apart + ports_given++) % PORTS.count);
    const server = createServer();
    const free = once(server.listen(port, host), "listening").then(
      () => true,
      (error: NodeJS.ErrnoException) => {
        if (error.code !== "EADDRINUSE") throw error;
        return false;
      },
    );
    if (!(await free)) continue;
    server.close();
    await once(server, "close");
    return port;
  }
  throw new Error(`no port from ${PORTS.first} on is free`);
}

/** Starts a program; `env` is its whole environment. */
export function startChild(path: string, args: readonly string[], env: Record<string, string> = {}): Child {
  const child: ChildProcess = spawn(path, args, { env, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  const keep = (chunk: Buffer): void => {
    output = (output + chunk.toString()).slice(-OUTPUT_LIMIT);
  };
  child.stdout?.on("data", keep);
  child.stderr?.on("data", keep);
  let ended = false;
  const gone = new Promise<void>((resolve) => {
    child.once("exit", () => {
      ended = true;
      resolve();
    });
    child.once("error", (error) => {
      output += String(error);
      ended = true;
      resolve();
    });
  });
  // A test process that ends in any way takes its servers along.
  const reap = (): void => void child.kill("SIGKILL");
  process.once("exit", reap);
  return {
    pid: child.pid ?? 0,
    output: () => output,
    signal: (name) => void child.kill(name),
    async freeze() {
      child.kill("SIGSTOP");
      // The signal is on its way for a moment, in which a busy server's other threads still answer.
      while (!ended && !(await standsStill(child.pid ?? 0))) await sleep(5);
    },
    async until(ready) {
      const patience = patienceOf(READY_MS);
      while (!(await ready())) {
        if (ended) throw new Error(`${path} ended before it was ready:\n${output}`);
        if (patience.over()) throw new Error(`${path} is not ready after ${patience.text()}:\n${output}`);
        await sleep(25);
      }
    },
    async stop(name = "SIGTERM") {
      process.removeListener("exit", reap);
      if (!ended) child.kill(name);
      // A stopped (SIGSTOP) process takes no other signal.
      const late = setTimeout(() => child.kill("SIGKILL"), 5_000);
      await gone;
      clearTimeout(late);
    },
  };
}

/** Whether each thread of a process is stopped (proc(5): the state stands after the name in parentheses). */
async function standsStill(pid: number): Promise<boolean> {
  const tasks = await readdir(`/proc/${pid}/task`);
  // A thread that ends meanwhile has nothing to read.
  const read = (task: string) => readFile(`/proc/${pid}/task/${task}/stat`, "utf8").catch(() => "");
  const texts = await Promise.all(tasks.map(read));
  return texts.every((text) => text.replace(/^.*\) /s, "").startsWith("T"));
}
