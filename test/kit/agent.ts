/** A real agent as a plain process below a prefix of its own, for tests: its files, its log, its end with the test. */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { createNkey, type JoinClaims, type OwnParts, writeJoinString } from "@muster/protocol";
import { type Child, startChild, temporaryDirectory } from "./child.ts";
import type { TestFleet } from "./fleet.ts";
import type { TestIssuer } from "./issuer.ts";
import type { Person } from "./people.ts";

const run = promisify(execFile);
const ROOT = new URL("../..", import.meta.url).pathname;
/** As it is delivered: the runner has built it. From its sources it would take seconds to start on a busy machine. */
const MAIN = join(ROOT, "dist/agent.cjs");

export type TestAgent = {
  /** The directory that the agent takes for `/`. */
  readonly prefix: string;
  readonly config_file: string;
  /** The file's text, or null. */
  read(path: string): Promise<string | null>;
  write(path: string, text: string): Promise<void>;
  start(): void;
  /** Ends the process; `SIGKILL` as a crash. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  output(): string;
  /** `muster-agent …` on the host: what it printed, and its exit code. */
  command(...words: string[]): Promise<{ stdout: string; code: number }>;
  /** Ends it and removes its files. */
  remove(): Promise<void>;
};

/** Makes the place of an agent; nothing runs before `start`. */
export async function makeAgent(
  name: string,
  config: Readonly<Record<string, unknown>> = {},
): Promise<TestAgent> {
  const { path: prefix, release } = await temporaryDirectory(`agent-${name}`);
  const config_file = join(prefix, "agent.json");
  await Promise.all(
    ["etc/muster", "etc/ssh", "etc/bird", "run"].map((path) =>
      mkdir(join(prefix, path), { recursive: true }),
    ),
  );
  const settings = {
    prefix,
    name,
    log_level: "debug",
    observe_period_ms: 2_000,
    settle_ms: 500,
    ssh_port: 1,
    ...config,
  };
  await writeFile(config_file, JSON.stringify(settings));
  let child: Child | null = null;
  const args = (...words: string[]) => [MAIN, ...words, "--config", config_file];
  const env = { PATH: process.env.PATH ?? "" };
  return {
    prefix,
    config_file,
    read: (path) => readFile(join(prefix, path), "utf8").catch(() => null),
    write: (path, text) => writeFile(join(prefix, path), text),
    start() {
      child = startChild(process.execPath, args("run"), env);
    },
    async stop(signal = "SIGTERM") {
      await child?.stop(signal);
      child = null;
    },
    output: () => child?.output() ?? "",
    async command(...words) {
      try {
        const { stdout } = await run(process.execPath, args(...words), { cwd: ROOT, env });
        return { stdout, code: 0 };
      } catch (error) {
        const failed = error as { stdout?: string; stderr?: string; code?: number };
        return { stdout: `${failed.stdout ?? ""}${failed.stderr ?? ""}`, code: failed.code ?? -1 };
      }
    },
    async remove() {
      await child?.stop("SIGKILL");
      await release();
    },
  };
}

/** A join string by that operator, good for five minutes. */
export function joinString(
  fleet: TestFleet,
  by: Person,
  claims: Partial<JoinClaims> = {},
  own: OwnParts = {},
): string {
  const { public: key, seed } = createNkey("user");
  return writeJoinString(
    {
      v: 1,
      fleet: fleet.name,
      anchor: fleet.anchor,
      brokers: [fleet.server.address],
      id: randomBytes(16).toString("hex"),
      groups: [],
      networks: [],
      not_after: Date.now() + 300_000,
      key,
      ...claims,
    },
    by,
    Date.now(),
    { seed, ...own },
  );
}

/** Lets a test issuer sign real ssh host certificates, by ssh-keygen. */
export async function realSshCertificates(issuer: TestIssuer, directory: string): Promise<void> {
  const ca = join(directory, "ssh-ca");
  await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", ca]);
  let signed = 0;
  issuer.sshCertificate = async (name, public_key) => {
    // Its own: several are signed at the same time.
    const serial = ++signed;
    const file = join(directory, `host-${serial}.pub`);
    await writeFile(file, `${public_key}\n`);
    await run("ssh-keygen", [
      "-q",
      "-s",
      ca,
      "-h",
      "-I",
      name,
      "-n",
      name,
      "-z",
      String(serial),
      "-V",
      "-5m:+30d",
      file,
    ]);
    const text = await readFile(join(directory, `host-${serial}-cert.pub`), "utf8");
    return { text: text.trim(), not_after: Date.now() + 30 * 86_400_000 };
  };
}
