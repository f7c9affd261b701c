/**
 * How many machines a fleet takes in: simulated machines (machines.ts, a process of its own as they would be on other servers) against a real
 * nats-server, a real Vault set up as `ctl init` does it, and a controller in this process. All of it shares the cores of this machine. The
 * machines' own keys and join strings are made beforehand; their proofs are part of the time.
 *
 *   node --import tsx bench/enrolment.ts [machines]     200 without it
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { argv, pid } from "node:process";
import { fileURLToPath } from "node:url";
import { openLog } from "@muster/ports/log";
import { encodePublic, writeJoinString } from "@muster/protocol";
import { runController } from "../packages/controller/src/index.ts";
import { programLogin } from "../packages/ctl/src/fleet/program-login.ts";
import { setUpVault } from "../packages/ctl/src/fleet/vault-setup.ts";
import { binary } from "../test/kit/binaries.ts";
import { controllerConfig } from "../test/kit/controller.ts";
import { startFleet, type TestFleet } from "../test/kit/fleet.ts";
import { randomHex } from "../test/kit/rollout.ts";
import { startVault, type VaultServer } from "../test/kit/vault.ts";
import { begin, figure, line, machine, told } from "./machine.ts";
import type { Enrolled, Round } from "./machines.ts";

const ROUNDS = 3;
const AT_ONCE = 32;
const CONNECTIONS = 8;
const TARGET_PER_S = 100;
const MACHINES = "machines";
const MACHINES_AND_KEYS = "machines, their keys included";

/** Broker and controller over that Vault. */
async function startAll(
  vault: VaultServer,
  signal: AbortSignal,
): Promise<{ fleet: TestFleet; ended: Promise<void> }> {
  const changes = { made: [], warnings: [] };
  const audit_file = join(vault.directory, "audit.log");
  const made = await setUpVault(vault.root, "lab", { networks: [], audit_file }, changes);
  const { role_id, secret_id } = await programLogin(vault.root, "controller", null, changes);
  const key = (role: "agent" | "controller") => encodePublic("account", made.keys[`fleet-${role}`]);
  const fleet = await startFleet({ more_roles: { agent: key("agent"), controller: key("controller") } });
  const file = (name: string) => join(fleet.server.directory, name);
  await writeFile(file("vault-ca.pem"), vault.ca_pem);
  await writeFile(file("role_id"), role_id, { mode: 0o600 });
  await writeFile(file("secret_id"), secret_id, { mode: 0o600 });
  const config = {
    ...(await controllerConfig(fleet)),
    vault: {
      addresses: [vault.address],
      ca: file("vault-ca.pem"),
      role_id: file("role_id"),
      secret_id: file("secret_id"),
    },
  };
  const log = openLog({ name: "controller", level: "silent" });
  let ended: Promise<void> = Promise.resolve();
  await new Promise<void>((resolve, reject) => {
    const status = { say: () => undefined, ready: () => resolve(), stopping: () => undefined };
    ended = runController(config, { log, status, now: Date.now }, signal);
    ended.catch(reject);
  });
  return { fleet, ended };
}

/** Processor time so far, milliseconds: the controller, which is this process, and each that it started, by its program. */
async function spent(): Promise<Map<string, number>> {
  const children = (await readFile(`/proc/${pid}/task/${pid}/children`, "utf8")).trim().split(" ");
  const all = new Map<string, number>();
  for (const one of [String(pid), ...children]) {
    // proc(5): the name stands in parentheses; utime and stime are the 12th and 13th after it, in hundredths of a second.
    const [, name = "", rest = ""] = /\((.*)\) (.*)/.exec(await readFile(`/proc/${one}/stat`, "utf8")) ?? [];
    const [utime = 0, stime = 0] = rest.split(" ").slice(11, 13).map(Number);
    all.set(
      one === String(pid)
        ? "controller"
        : name === "node" || name === "MainThread"
          ? MACHINES_AND_KEYS
          : name,
      (utime + stime) * 10,
    );
  }
  return all;
}

export async function main(count: number): Promise<void> {
  const [nats_server, vault_program] = [await binary("nats-server"), await binary("vault")];
  begin(
    "enrolment",
    `${count} simulated machines, ${AT_ONCE} at once, ${ROUNDS} rounds; real nats-server, Vault and controller`,
    machine({ [nats_server]: ["--version"], [vault_program]: ["version"] }),
  );
  const life = new AbortController();
  const vault = await startVault(life.signal);
  const { fleet, ended } = await startAll(vault, life.signal);
  const machines: ChildProcess = fork(fileURLToPath(new URL("machines.ts", import.meta.url)), {
    execArgv: ["--import", import.meta.resolve("tsx")],
  });
  try {
    const alice = await fleet.person("alice");
    const rates: number[] = [];
    const each_ms: number[] = [];
    const used_ms = new Map<string, number[]>();
    for (let round = 0; round < ROUNDS; round++) {
      const joining = (name: string) => {
        const where = {
          fleet: fleet.name,
          anchor: fleet.anchor,
          brokers: [fleet.server.address],
          networks: [],
        };
        const whom = { v: 1 as const, name, groups: [], id: randomHex(), not_after: Date.now() + 600_000 };
        return writeJoinString({ ...where, ...whom }, alice, Date.now());
      };
      const names = Array.from({ length: count }, (_, at) => `m${round}-${at}`);
      const order: Round = {
        server: fleet.server.address,
        ca_pem: fleet.broker_ca.certificate_pem,
        connections: CONNECTIONS,
        at_once: AT_ONCE,
        machines: names.map((name) => ({ name, joining: joining(name) })),
      };
      const before = await spent();
      machines.send(order);
      const [enrolled] = (await once(machines, "message", { signal: life.signal })) as [Enrolled];
      if ("error" in enrolled) throw new Error(enrolled.error);
      each_ms.push(...enrolled.each_ms);
      rates.push((count * 1_000) / enrolled.took_ms);
      const after = new Map([...(await spent()), [MACHINES, enrolled.used_ms]]);
      for (const [name, ms] of after)
        used_ms.set(name, [...(used_ms.get(name) ?? []), (ms - (before.get(name) ?? 0)) / count]);
    }
    const rate = figure(rates);
    line("enrolments a second", told(rate, "/s", 0), {
      target: `at least ${TARGET_PER_S}/s`,
      met: rate.median >= TARGET_PER_S,
    });
    line(`one enrolment, ${AT_ONCE} at once`, told(figure(each_ms), "ms"));
    for (const [name, list] of used_ms) line(`processor time of one, ${name}`, told(figure(list), "ms"));
  } finally {
    machines.disconnect();
    life.abort();
    await ended.catch(() => undefined);
    await fleet.stop();
    await vault.stop();
  }
}

if (argv[1] === fileURLToPath(import.meta.url)) await main(Number(argv[2] ?? 200));
