/**
 * What a story on the real servers is told with. A story is a file `test/e2e/<story>.test.ts`; the runner brings the lab up
 * before the first and runs them one after the other on the same servers, so every story leaves the fleet as it found it:
 * `test.before(() => fleet.reset())` and `test.after(() => fleet.reset())`.
 *
 *   const fleet = await openFleet();                               in `test.before`
 *   await fleet.ctl(["status"], { expect: 0 })                     → { code, stdout, stderr, ms, json() }
 *   await fleet.ctl(["apply"], { input: "y\n" })                   as a person without a terminal
 *   await fleet.on("ixp1").sh("systemctl stop bird")               as root on a server; .exec .write .read .kill .start .restart .cut .mend
 *   fleet.edit("host_vars/ixp1.yml", (text) => …)                  in the tests' own copy of the example folder
 *   await fleet.until("ixp1 is red", () => …, 5_000)               asks until there is an answer; gives it and how long it took (patience.ts)
 *   await fleet.event((event) => event.host === "ixp1", since_ms)  waits for an event that is kept (all machines here share one clock)
 *   await fleet.answer("ixp1")                                     after its agent was started anew: it is on the bus
 *   await fleet.converged()                                        all hosts converged, all sessions that should be up
 *   await fleet.reset()                                            folder as the example, applied, converged
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { FleetEvent } from "@muster/protocol/event";
import { patienceOf } from "../kit/patience.ts";
import {
  type ExecOptions,
  type Operator,
  openLab,
  type Result,
  ROOT,
  type Server,
  type State,
  TEST_LAB,
  testOperator,
} from "./lab.ts";

export { assertWithin, measured, median, slowness } from "../kit/figures.ts";

export const HOSTS = ["core1", "ixp1", "probe1"] as const;
export type ServerName = (typeof HOSTS)[number] | "hub" | "upstream";

const POLL_MS = 150;
const ANSWER_MS = 30_000;
/** Of what `ctl` printed, for the error of a wait. */
const SAID_CHARS = 3_000;
/** BIRD dials after 5 s, and after an error it waits up to a minute. */
export const SESSIONS_MS = 120_000;

export type CtlResult = Result & {
  /** From its start to its end. */
  readonly ms: number;
  /** Standard output as JSON; for calls with `--json`. */
  // biome-ignore lint/suspicious/noExplicitAny: each test knows the shape that it asks for
  json(): any;
};

/** A host's row of `ctl status --json`. */
export type HostRow = {
  readonly host: string;
  readonly state: string;
  readonly colour: string;
  readonly since: number | null;
  readonly generation: number | null;
  readonly sessions: { readonly up: number; readonly expected: number } | null;
  readonly certificates: Readonly<Record<string, string>>;
  readonly last_apply_ms: number | null;
  readonly troubles: readonly { readonly tint: string; readonly what: string; readonly next: string }[];
};

/** A line of `ctl events --json`. */
export type KeptEvent = FleetEvent & { readonly host: string };

export interface ServerHandle {
  readonly name: string;
  /** What it is in Docker; its addresses. */
  facts(): Promise<Server>;
  /** Runs a program; any exit is a result. */
  exec(argv: readonly string[], options?: ExecOptions): Promise<Result>;
  /** Runs a shell script and gives what it printed; a non-zero exit throws. */
  sh(script: string, options?: ExecOptions): Promise<string>;
  read(path: string): Promise<string>;
  /** Writes a file in place, as a person with an editor would. */
  write(path: string, text: string): Promise<void>;
  /** Power loss. */
  kill(): Promise<void>;
  /** Boots it after `kill`; returns when systemd is up. */
  start(): Promise<void>;
  /** An orderly reboot; returns when systemd is up. */
  restart(): Promise<void>;
  /** Cuts its line, for some addresses or for all; `mend` ends that. */
  cut(options?: { from?: string[] }): Promise<void>;
  mend(): Promise<void>;
}

export interface Fleet {
  readonly lab: string;
  readonly operator: Operator;
  /** The lab's keys and secrets. */
  readonly state: State;
  /** Runs `ctl` in the fleet folder. `expect`: the exit code that it must have. */
  ctl(args: readonly string[], options?: ExecOptions & { expect?: number }): Promise<CtlResult>;
  on(server: ServerName): ServerHandle;
  /**
   * Asks `check` until it gives something other than undefined and false; throws `what` after `limit_ms`, with the last answer or error and what `ctl`
   * said last. On a machine that is slow then it waits as much longer.
   */
  until<T>(
    what: string,
    check: () => Promise<T | undefined | false>,
    limit_ms: number,
  ): Promise<{ value: T; ms: number }>;
  /** Changes one file of the folder; `null` from `change` removes it, a missing file is given as "". */
  edit(file: string, change: (text: string) => string | null): void;
  /** The rows of `ctl status --json`, by host; any exit code. */
  status(): Promise<Map<string, HostRow>>;
  /** The first event since then that fits, as the controllers kept it. */
  event(
    fits: (event: KeptEvent) => boolean,
    since_ms: number,
    limit_ms?: number,
  ): Promise<{ value: KeptEvent; ms: number }>;
  /** Waits until these hosts are on the bus, which an agent that was started anew is a moment after systemd calls it started. None named: all. */
  answer(...hosts: ServerName[]): Promise<void>;
  /** Waits until every host is converged and, unless told otherwise, every session that should be up is. */
  converged(options?: { sessions?: boolean; limit_ms?: number }): Promise<void>;
  /** The folder is the example again, applied, and the fleet converged on it. */
  reset(): Promise<void>;
}

/** Opens the lab that the runner brought up. */
export async function openFleet(): Promise<Fleet> {
  const lab = await openLab();
  const state = lab.openState(TEST_LAB);
  const operator = testOperator(state);
  if (!existsSync(operator.folder))
    throw new Error("the lab is not up: run this by npm test -- e2e, or keep one with MUSTER_TEST_LAB=keep");

  const find = async (name: string): Promise<Server> => {
    const server = await lab.findServer(TEST_LAB, name);
    if (server === undefined) throw new Error(`no server ${name} in lab ${TEST_LAB}`);
    return server;
  };
  const on = (name: ServerName): ServerHandle => {
    const handle: ServerHandle = {
      name,
      facts: () => find(name),
      exec: async (argv, options) => lab.exec(await find(name), argv, options),
      async sh(script, options) {
        const { code, stdout, stderr } = await handle.exec(["sh", "-c", script], options);
        if (code !== 0) throw new Error(`${name}: ${script}: exit ${code}: ${(stderr || stdout).trim()}`);
        return stdout;
      },
      read: (path) => handle.sh(`cat '${path}'`),
      write: async (path, text) => void (await handle.sh(`cat >'${path}'`, { input: text })),
      kill: async () => lab.kill(await find(name)),
      start: async () => lab.start(await find(name)),
      restart: async () => lab.restart(await find(name)),
      cut: async (options) => lab.cut(await find(name), options),
      mend: async () => lab.mend(await find(name)),
    };
    return handle;
  };

  let said = "";
  const fleet: Fleet = {
    lab: TEST_LAB,
    operator,
    state,
    on,
    async ctl(args, { expect, ...options } = {}) {
      const begun_ms = performance.now();
      const result = await lab.ctl(operator, args, options);
      const ms = performance.now() - begun_ms;
      said = `ctl ${args.join(" ")}: exit ${result.code}\n${result.stdout.slice(-SAID_CHARS)}${result.stderr.slice(-SAID_CHARS)}`;
      if (expect !== undefined && result.code !== expect) {
        throw new Error(
          `ctl ${args.join(" ")}: exit ${result.code}, expected ${expect}\n${result.stdout}${result.stderr}`,
        );
      }
      return { ...result, ms, json: () => JSON.parse(result.stdout) };
    },
    async until(what, check, limit_ms) {
      const begun_ms = performance.now();
      const patience = patienceOf(limit_ms);
      said = "";
      let last: unknown;
      for (;;) {
        try {
          const value = await check();
          if (value !== undefined && value !== false) return { value, ms: performance.now() - begun_ms };
          last = value;
        } catch (error) {
          last = error;
        }
        if (patience.over())
          throw new Error(`not within ${patience.text()}: ${what}\n${said}`, { cause: last });
        await sleep(POLL_MS);
      }
    },
    edit(file, change) {
      const path = join(operator.folder, file);
      const text = change(existsSync(path) ? readFileSync(path, "utf8") : "");
      if (text === null) rmSync(path);
      else {
        mkdirSync(dirname(path), { recursive: true });
        writeFileSync(path, text);
      }
    },
    async status() {
      const { hosts } = (await fleet.ctl(["status", "--json"])).json() as { hosts: HostRow[] };
      return new Map(hosts.map((row) => [row.host, row]));
    },
    event(fits, since_ms, limit_ms = 10_000) {
      const check = async (): Promise<KeptEvent | undefined> => {
        const answer = await fleet.ctl(["events", "--json", "--since", "30m", "--last", "500"], {
          expect: 0,
        });
        return (answer.json() as KeptEvent[]).find((event) => event.at >= since_ms && fits(event));
      };
      return fleet.until("an event that fits", check, limit_ms);
    },
    async answer(...hosts) {
      const asked = hosts.length === 0 ? "all" : hosts.join(",");
      await fleet.until(
        `${asked} answer`,
        async () => (await fleet.ctl(["rpc", "ping", asked])).code === 0,
        ANSWER_MS,
      );
    },
    async converged({ sessions = true, limit_ms = SESSIONS_MS } = {}) {
      await fleet.until(
        "all hosts are converged",
        async () => {
          const rows = [...(await fleet.status()).values()];
          const ready = rows.every((row) => row.state === "converged" && row.colour === "green");
          if (rows.length === HOSTS.length && ready) return true;
          throw new Error(JSON.stringify(rows));
        },
        limit_ms,
      );
      if (!sessions) return;
      await fleet.until(
        "all sessions are up",
        async () => {
          const answer = await fleet.ctl(["bgp"]);
          if (answer.code === 0) return true;
          throw new Error(answer.stdout + answer.stderr);
        },
        limit_ms,
      );
    },
    async reset() {
      const example = join(ROOT, "inventory");
      for (const name of readdirSync(operator.folder))
        if (!name.endsWith(".lock")) rmSync(join(operator.folder, name), { recursive: true });
      cpSync(example, operator.folder, { recursive: true, filter: (path) => !path.endsWith(".lock") });
      const apply = ["apply", "-y", "--overwrite", "--force", "-m", "back to the example"];
      // Again while it does not go through: what the story before started anew may not be back yet.
      await fleet.until("the example is applied", async () => (await fleet.ctl(apply)).code === 0, ANSWER_MS);
      await fleet.converged();
    },
  };
  return fleet;
}
