/**
 * A fleet of real agents as plain processes on this machine, each below a file-system prefix of its own, with a real nats-server and a controller in this
 * process; and the built `ctl` as a person starts it, in a folder that declares the same files on every host.
 */
import { execFile, spawn } from "node:child_process";
import { setMaxListeners } from "node:events";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { joinString, realSshCertificates } from "../test/kit/agent.ts";
import { type Child, startChild, temporaryDirectory } from "../test/kit/child.ts";
import { startGround } from "../test/unit/ctl/ground.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const UP_LIMIT_MS = 300_000;
/** Starts that run side by side: more only make each of them slower. */
const STARTS_AT_ONCE = 4;

export type SimulatedFleet = {
  readonly names: readonly string[];
  /** Declares `count` files of that text on every host. */
  files(count: number, text: string): Promise<void>;
  /** Runs the built ctl in the folder; from its start to its end. */
  ctl(...words: string[]): Promise<{ ms: number; code: number; output: string }>;
  /** Where a host's file lies on this machine. */
  path(host: string, file: string): string;
  /** The process of a host's agent. */
  pid(host: string): number;
  stop(): Promise<void>;
};

/** Starts it and waits until every agent is enrolled and answers. Errors: that of the first agent that does not come up, with its output. */
export async function startSimulatedFleet(size: number): Promise<SimulatedFleet> {
  // Each child takes care of its end.
  process.setMaxListeners(0);
  const names = Array.from({ length: size }, (_, at) => `e${String(at + 1).padStart(3, "0")}`);
  const life = new AbortController();
  setMaxListeners(0, life.signal);
  const { node, flags } = await agentRuntime();
  const ground = await startGround([], life.signal);
  await realSshCertificates(ground.controller.issuer, ground.home);
  await ground.write("muster.yml", `fleet: ${ground.fleet.name}\n`);
  await ground.write("hosts.yml", `edge:\n  hosts:\n${names.map((name) => `    ${name}: {}\n`).join("")}`);
  await ground.write("resources/edge.yml", "");
  const home = await temporaryDirectory("bench");
  await eachApart(home.path);
  const memory = await mkdtemp("/dev/shm/muster-bench-");
  const agents = new Map<string, Child & { prefix: string }>();
  const ctl: SimulatedFleet["ctl"] = (...words) =>
    new Promise((resolve, reject) => {
      const began = performance.now();
      const child = spawn(process.execPath, [join(ROOT, "dist/ctl/ctl.cjs"), ...words], {
        cwd: ground.folder,
        env: { ...process.env, MUSTER_HOME: ground.home },
        stdio: ["ignore", "pipe", "pipe"],
      });
      let output = "";
      for (const stream of [child.stdout, child.stderr])
        stream.on("data", (data: Buffer) => (output += data.toString()));
      child.once("error", reject);
      child.once("close", (code) => resolve({ ms: performance.now() - began, code: code ?? -1, output }));
    });

  const startOne = async (name: string): Promise<void> => {
    const prefix = join(home.path, name);
    for (const directory of ["etc/muster", "etc/ssh", "etc/bench"])
      await mkdir(join(prefix, directory), { recursive: true });
    // On a server it lies in memory.
    await mkdir(join(memory, name));
    await symlink(join(memory, name), join(prefix, "run"));
    const config_file = join(prefix, "agent.json");
    await writeFile(config_file, JSON.stringify({ prefix, name, ssh_port: 1, log_level: "warn" }));
    await writeFile(
      join(prefix, "etc/muster/join"),
      joinString(ground.fleet, ground.alice, { name, groups: ["edge"] }),
    );
    const args = [...flags, join(ROOT, "dist/agent.cjs"), "run", "--config", config_file];
    const env = {
      PATH: process.env.PATH ?? "",
      MALLOC_ARENA_MAX: "1",
      MALLOC_TRIM_THRESHOLD_: "65536",
      MALLOC_TOP_PAD_: "0",
      MALLOC_MMAP_THRESHOLD_: "32768",
    };
    const child = startChild(node, args, env);
    agents.set(name, Object.assign(child, { prefix }));
    const status_file = join(prefix, "run/muster-agent/status.json");
    while (!(await isConnected(status_file))) await sleep(100, undefined, { signal: life.signal });
  };
  const queue = [...names];
  const worker = async () => {
    for (let name = queue.shift(); name !== undefined; name = queue.shift()) await startOne(name);
  };
  const stop = async () => {
    await Promise.all([...agents.values()].map((agent) => agent.stop("SIGKILL")));
    await Promise.all([home.release(), rm(memory, { recursive: true, force: true })]);
    await ground.stop();
    life.abort();
    await rm(ground.home, { recursive: true, force: true });
  };
  try {
    await Promise.race([
      Promise.all(Array.from({ length: STARTS_AT_ONCE }, worker)),
      sleep(UP_LIMIT_MS, undefined, { signal: life.signal }).then(() => {
        throw new Error(`${size} agents are not up after ${UP_LIMIT_MS / 1_000} s`);
      }),
    ]);
  } catch (error) {
    await stop();
    throw error;
  }
  const of = (name: string) => {
    const agent = agents.get(name);
    if (agent === undefined) throw new TypeError(`no host ${name}`);
    return agent;
  };
  return {
    names,
    ctl,
    stop,
    path: (host, file) => join(of(host).prefix, file),
    pid: (host) => of(host).pid,
    files: (count, text) => {
      const lines = Array.from(
        { length: count },
        (_, at) => `  /etc/bench/${at}.conf: { content: "${text} ${at}\\n" }\n`,
      );
      return ground.write("resources/edge.yml", `file:\n${lines.join("")}`);
    },
  };
}

/**
 * Each host has a disk of its own. Where one disk stands for all of them, ext4 is told that what lies in here does not belong together (chattr(1), T): else every new file of
 * every host looks for its inode among those that all the others have just given back. Other file systems do not know that, and are left as they are.
 */
async function eachApart(directory: string): Promise<void> {
  const { stdout } = await promisify(execFile)("stat", ["--file-system", "--format=%T", directory]);
  if (stdout.startsWith("ext")) await promisify(execFile)("chattr", ["+T", directory]);
}

/** The Node and the flags that a server's agent runs with. */
async function agentRuntime(): Promise<{ node: string; flags: readonly string[] }> {
  // Plain JavaScript without declarations, since it has to run before anything is installed.
  const load = (file: string) => import(new URL(`../deploy/${file}`, import.meta.url).href);
  const { AGENT_V8_FLAGS } = (await load("agent/v8-flags.mjs")) as { AGENT_V8_FLAGS: readonly string[] };
  const { createProgress } = (await load("lab/progress.mjs")) as { createProgress(): unknown };
  const { ensureNodeRuntime } = (await load("lab/node-runtime.mjs")) as {
    ensureNodeRuntime(progress: unknown): Promise<{ path: string }>;
  };
  return { node: (await ensureNodeRuntime(createProgress())).path, flags: AGENT_V8_FLAGS };
}

async function isConnected(status_file: string): Promise<boolean> {
  try {
    const { host, broker } = JSON.parse(await readFile(status_file, "utf8")) as {
      host: string | null;
      broker: string | null;
    };
    return host !== null && broker === null;
  } catch {
    // Not written yet.
    return false;
  }
}
