/**
 * How long `ctl status` takes, its start included, for a fleet of many hosts: a real nats-server and controller, a record and samples of every kind for each
 * host, the built `ctl` as a process, and a folder that declares them all. The hosts send once; the controller's clock stands still meanwhile, so that
 * none of them falls silent while the measurement lasts.
 *
 *   node --import tsx bench/status.ts [hosts]     1000 without it
 */
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { argv, execPath } from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { openLog } from "@muster/ports/log";
import { createNkey, type HostRecord, subjects } from "@muster/protocol";
import { type ControllerConfig, runController } from "../packages/controller/src/index.ts";
import { binary } from "../test/kit/binaries.ts";
import { controllerConfig } from "../test/kit/controller.ts";
import { SSH_PUBLIC_KEY, startFleet, type TestFleet } from "../test/kit/fleet.ts";
import { memoryIssuer } from "../test/kit/issuer.ts";
import { begin, figure, line, machine, times, told } from "./machine.ts";
import { samplesOf } from "./one-host.ts";

const CTL = fileURLToPath(new URL("../dist/ctl/ctl.cjs", import.meta.url));
const TARGET_MS = 300;
const RUNS = 9;
/** The kept compiled form is at its best after so many runs. */
const WARM = 10;
const CONNECTIONS = 32;
const HOUR_MS = 3_600_000;

export type Host = { readonly name: string; readonly key: ReturnType<typeof createNkey> };

export async function main(count: number): Promise<void> {
  begin(
    "ctl status",
    `${count} hosts of 4 sessions each, the process' start included; real nats-server and controller`,
    machine({ [await binary("nats-server")]: ["--version"] }),
  );
  const life = new AbortController();
  const directory = await mkdtemp(join(tmpdir(), "muster-status-"));
  const fleet = await startFleet({ name: "as64500" });
  const now_ms = Date.now();
  try {
    const hosts = Array.from(
      { length: count },
      (_, at): Host => ({ name: hostName(at), key: createNkey("user") }),
    );
    await enrol(fleet, hosts, now_ms, life.signal);
    const { ended } = await control(fleet, () => now_ms, life.signal);
    await speak(fleet, hosts, now_ms, life.signal);
    await logIn(fleet, join(directory, "home"));
    await writeFolder(join(directory, "fleet"), hosts);
    const run = (cwd: string, ...words: string[]) =>
      promisify(execFile)(execPath, [CTL, ...words], {
        cwd: join(directory, cwd),
        env: { MUSTER_HOME: join(directory, "home"), HOME: directory, PATH: process.env.PATH },
        maxBuffer: 64 * 1024 * 1024,
      });
    const { stdout } = await run("home", "status");
    const converged = stdout.split("\n").filter((row) => / converged /.test(row)).length;
    if (converged !== count)
      throw new Error(`${converged} of ${count} hosts are shown converged:\n${stdout.slice(0, 800)}`);
    const start = figure(await times(RUNS, WARM, () => run("home", "whoami")));
    line("ctl whoami (start alone)", told(start, "ms", 0));
    const records = figure(await times(RUNS, WARM, () => run("home", "status")));
    line("ctl status", told(records, "ms", 0), {
      target: `≤ ${TARGET_MS} ms`,
      met: records.median <= TARGET_MS,
    });
    const folder = figure(await times(RUNS, WARM, () => run("fleet", "status")));
    line("ctl status, in the folder of all of them", told(folder, "ms", 0), {
      target: `≤ ${TARGET_MS} ms`,
      met: folder.median <= TARGET_MS,
    });
    const json = figure(await times(3, 1, () => run("home", "status", "--json")));
    line("ctl status --json", told(json, "ms", 0));
    life.abort();
    await ended;
  } finally {
    life.abort();
    await fleet.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

export const hostName = (at: number) => `${["core", "ixp", "probe"][at % 3]}${String(at).padStart(4, "0")}`;
const groupOf = (host: Host) => host.name.replace(/\d+$/, "");

/** Writes their records, as if they had joined long ago. */
export async function enrol(
  fleet: TestFleet,
  hosts: readonly Host[],
  now_ms: number,
  signal: AbortSignal,
): Promise<void> {
  const { bus } = await fleet.connect("controller", "setup", signal);
  const in_days = (days: number) => now_ms + days * 24 * HOUR_MS;
  await Promise.all(
    hosts.map((host) => {
      const record: HostRecord = {
        name: host.name,
        id: host.key.public,
        ssh_public_key: SSH_PUBLIC_KEY,
        curve: `X${"A".repeat(55)}`,
        groups: [groupOf(host)],
        enrolled_at: now_ms - 40 * 24 * HOUR_MS,
        enrolled_by: "alice",
        recoveries: 0,
        state: "enrolled",
        certificates: { user_jwt: in_days(6), service: in_days(25), ssh: in_days(25) },
        os: "Debian GNU/Linux 12 (bookworm)",
        agent_version: "0.1.0",
      };
      return bus.kv("hosts").create(host.name, Buffer.from(JSON.stringify(record)));
    }),
  );
  await bus.close();
}

/** A controller in this process. Resolves with its end, once it answers. `given`: fields other than those of a test's configuration. */
export async function control(
  fleet: TestFleet,
  now: () => number,
  signal: AbortSignal,
  given: Partial<ControllerConfig> = {},
): Promise<{ ended: Promise<void> }> {
  const config = { ...(await controllerConfig(fleet)), ...given };
  const log = openLog({ name: "controller", level: "silent" });
  let ended: Promise<void> = Promise.resolve();
  await new Promise<void>((resolve, reject) => {
    const status = { say: () => undefined, ready: () => resolve(), stopping: () => undefined };
    ended = runController(config, { log, status, now, issuer: memoryIssuer(fleet) }, signal);
    ended.catch(reject);
  });
  return { ended };
}

/** Each host says once how it is, over a connection of its own. */
async function speak(
  fleet: TestFleet,
  hosts: readonly Host[],
  now_ms: number,
  signal: AbortSignal,
): Promise<void> {
  const left = [...hosts];
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      for (let host = left.pop(); host !== undefined; host = left.pop()) {
        const { bus, id } = await fleet.connect("agent", host.name, signal, host.key);
        for (const [kind, sample] of Object.entries(samplesOf(now_ms)))
          bus.publish(subjects.telemetry(id, host.name, kind), Buffer.from(JSON.stringify(sample)));
        await bus.roundTrip();
        await bus.close();
      }
    }),
  );
}

async function logIn(fleet: TestFleet, home: string): Promise<void> {
  const alice = await fleet.person("alice", "operator");
  const key = createNkey("user");
  const { jwt } = await fleet.credentials("operator", "alice", key);
  const ends = Date.now() + 8 * HOUR_MS;
  const at = join(home, fleet.name);
  await mkdir(at, { recursive: true });
  const profile = {
    v: 1,
    fleet: fleet.name,
    brokers: [fleet.server.address],
    anchor: fleet.anchor,
    broker_ca: fleet.broker_ca.certificate_pem,
    bundle: fleet.bundle,
    person: "alice",
  };
  const session = {
    v: 1,
    person: "alice",
    rank: "operator",
    certificate_pem: alice.pem,
    certificate_ends: ends,
    key_pem: alice.key.export({ type: "pkcs8", format: "pem" }),
    seed: key.seed,
    user_jwt: jwt,
    jwt_ends: ends,
    vault_token: null,
  };
  await writeFile(join(at, "fleet.json"), JSON.stringify(profile));
  await writeFile(join(at, "session.json"), JSON.stringify(session));
}

async function writeFolder(folder: string, hosts: readonly Host[]): Promise<void> {
  await mkdir(join(folder, "resources"), { recursive: true });
  const group = (name: string) =>
    `${name}:\n  hosts:\n${hosts
      .filter((host) => groupOf(host) === name)
      .map((host) => `    ${host.name}: { ansible_host: "2001:db8::${host.name.slice(-4)}", site: ams }\n`)
      .join("")}`;
  await writeFile(join(folder, "muster.yml"), "fleet: as64500\nlabels: [site]\n");
  await writeFile(join(folder, "hosts.yml"), ["core", "ixp", "probe"].map(group).join(""));
  await writeFile(
    join(folder, "hosts.lock"),
    hosts.map((host) => `${host.name} ${host.key.public}\n`).join(""),
  );
  await writeFile(
    join(folder, "resources/core.yml"),
    'file:\n  /etc/motd: { content: "{{ inventory_hostname }}\\n" }\n',
  );
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  await main(Number(argv[2] ?? 1_000));
  process.exit();
}
