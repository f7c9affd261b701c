/** Somebody who follows docs/runbook/vault.md on three real servers: what is typed goes to bash, `ctl`, or stands for systemd of a server. */
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { freePort } from "../../../kit/child.ts";
import { patienceOf } from "../../../kit/patience.ts";
import type { Step } from "../../../kit/runbook.ts";
import { loopbackHosts, type VaultNodes, vaultNodes } from "../../../kit/vault-nodes.ts";
import { PASSPHRASE, PASSWORD } from "../made.ts";
import { ctl } from "../terminal.ts";

const execute = promisify(execFile);
const READY_MS = 60_000;
/** What a server says while its cluster chooses a leader, or before it listens. */
const PASSING =
  /active cluster node not found|node not active|raft leader|leadership lost|not leader|connection refused|EOF\b/;

type Opened = { keys: string[]; root: string };

export type Cluster = {
  readonly nodes: VaultNodes;
  readonly home: string;
  /** Where `owner` stands. */
  readonly directory: string;
  /** Names of servers that run. */
  readonly running: Set<string>;
  /** Steps in order; `as`: what a server of the page is called here. */
  follow(steps: readonly Step[], as?: Readonly<Record<string, string>>): Promise<string[]>;
  ctl(words: readonly string[]): ReturnType<typeof ctl>;
  leader(): Promise<string>;
};

export async function openCluster(program: string, directory: string, life: AbortSignal): Promise<Cluster> {
  const hosts = loopbackHosts(["a", "b", "c", "d"]);
  const nodes = vaultNodes(program, join(directory, "vault-servers"), hosts, life);
  const broker = `127.0.0.1:${await freePort()}`;
  const home = join(directory, "home");
  const running = new Set<string>();
  const opened: Opened[] = [];
  const env: Record<string, string> = { HOME: directory, PATH: `${dirname(program)}:${process.env.PATH}` };
  const file = async (name: string, text: string) => {
    await writeFile(join(directory, name), text, { mode: 0o600 });
    return join(directory, name);
  };
  const asked = [
    ...["--admin", "alice", "--password-file", await file("password", PASSWORD)],
    ...["--passphrase-file", await file("passphrase", PASSPHRASE), "--kit-file", join(directory, "kit")],
  ];

  /** A server that was just started or opened knows no leader for a moment: a person types the line again. */
  const shell = async (line: string, input?: string): Promise<string> => {
    const patience = patienceOf(READY_MS);
    for (;;) {
      const running = execute("bash", ["-c", line], { cwd: directory, env });
      // A program that ends before it has read says so by its exit code.
      running.child.stdin?.on("error", () => {}).end(input);
      const ran = await running.catch((error) => error);
      if (!(ran instanceof Error)) return ran.stdout;
      if (!PASSING.test(ran.message) || patience.over()) throw ran;
      await sleep(200);
    }
  };
  const person = (words: readonly string[]) => ctl(words, { home, cwd: directory });

  /** `seen`: what the last look saw. */
  async function until(what: string, done: () => Promise<boolean>, seen: () => string): Promise<void> {
    const patience = patienceOf(READY_MS);
    while (!(await done())) {
      if (patience.over()) throw new Error(`${what}: not within ${patience.text()}\n${seen()}`);
      await sleep(100);
    }
  }

  /** By as many people as it takes; a server that has not been let in yet is asked again. */
  async function unseal(line: string, keys: readonly string[]): Promise<string> {
    let last = "";
    const open = async () => {
      for (const key of keys) last = await shell(`${line} ${key}`).catch((error) => String(error.stderr));
      return /^Sealed +false$/m.test(last);
    };
    await until(line, open, () => last);
    return last;
  }

  async function typed({ who, line, note }: Step): Promise<string> {
    if (line.startsWith("apt install") || line.startsWith("scp -r ")) return "";
    if (who !== "owner") {
      const verb = /^systemctl (enable --now|start|stop|restart|reload) vault$/.exec(line)?.[1];
      if (verb === "restart") await nodes.stop(who);
      if (verb === "enable --now" || verb === "start" || verb === "restart") {
        await nodes.start(who);
        running.add(who);
      } else if (verb === "stop") {
        await nodes.stop(who);
        running.delete(who);
      } else if (verb === "reload") nodes.signal(who, "SIGHUP");
      else throw new Error(`what is ${line} on ${who}?`);
      return "";
    }
    const setting = /^export (.*)$/.exec(line)?.[1];
    if (setting !== undefined) {
      for (const pair of setting.split(" ")) env[pair.split("=")[0] ?? ""] = pair.replace(/^[^=]*=/, "");
      return "";
    }
    if (line.startsWith("ctl ")) {
      const [words = "", target] = line.split(" > ");
      const makes = /^ctl (init|vault bootstrap) /.exec(words)?.[1];
      const audit = ["--audit-file", join(directory, "audit.log")];
      const extra = makes === undefined ? [] : makes === "init" ? [...asked, ...audit] : audit;
      const ran = await person([...words.split(" ").slice(1), ...extra]);
      if (String(ran.code) !== (/^exit (\d)$/.exec(note)?.[1] ?? "0"))
        throw new Error(`${line}: exit ${ran.code}\n${ran.err}${ran.out}`);
      if (target !== undefined) await file(target, ran.out);
      return ran.out;
    }
    if (line.startsWith("vault operator init")) {
      const made = JSON.parse(await shell(`${line} -format=json`));
      opened.push({ keys: made.unseal_keys_b64.slice(0, made.unseal_threshold), root: made.root_token });
      return "";
    }
    const which = /\bnew\b/.test(note) ? opened.at(-1) : opened[0];
    if (line.startsWith("vault operator unseal")) return unseal(line, which?.keys ?? []);
    if (line === "vault login") return shell("vault login -no-print -", which?.root);
    if (line === "vault status") {
      let out = "";
      const sealed = async () => {
        out = await shell(line).catch((error) => String(error.stdout));
        return /^Sealed +true$/m.test(out);
      };
      await until(line, sealed, () => out);
      return "";
    }
    if (line === "vault operator raft list-peers") {
      let out = "";
      const voters = async () => {
        out = await shell(line);
        return out.match(/ true$/gm)?.length === running.size;
      };
      await until(line, voters, () => out);
      return out;
    }
    return shell(line);
  }

  return {
    nodes,
    home,
    directory,
    running,
    ctl: person,
    async follow(steps, as = {}) {
      const outputs: string[] = [];
      const renamed = (name: string) => as[name] ?? name;
      for (const { who, line, note } of steps) {
        const here = line
          .replace(/\b([a-d])\.example\b/g, (_, name: string) => nodes.host(renamed(name)))
          .replace(
            /\b(vault-servers\/|remove-peer )([a-d])\b/g,
            (_, lead: string, name: string) => lead + renamed(name),
          )
          .replace(/\b([a-d])=(?=127)/g, (_, name: string) => `${renamed(name)}=`)
          .replaceAll("198.51.100.0/24", "127.0.0.0/8")
          .replaceAll("198.51.100.1", broker);
        outputs.push(await typed({ who: renamed(who), line: here, note }));
      }
      return outputs;
    },
    async leader() {
      let found: string | undefined;
      const ca = await readFile(join(directory, "vault-servers/ca.crt"), "utf8");
      const { openVault } = await import("@muster/ports/vault");
      const names = [...running];
      const vault = openVault({ addresses: names.map(nodes.address), ca_pem: ca, timeout_ms: 1_000 }, life);
      let answers: Awaited<ReturnType<typeof vault.nodes>> = [];
      const led = async () => {
        answers = await vault.nodes();
        found =
          names[answers.findIndex(({ health }) => "standby" in health && !health.standby && !health.sealed)];
        return found !== undefined;
      };
      await until("a leader", led, () => JSON.stringify(answers));
      return found ?? "";
    },
  };
}
