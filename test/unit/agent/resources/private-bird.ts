/**
 * Real BIRDs of a test: the managed one below a file-system prefix, and neighbours that announce routes to it over loopback addresses.
 * `bird` is put in place by deploy/lab/programs.mjs; no root.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  createAttempts,
  createBlobs,
  createDocker,
  createFiles,
  createFrr,
  createGobgp,
  createPackages,
  createRouting,
  createRun,
  createRunStreamed,
  createSystemd,
  createUsers,
  type Ports,
} from "@muster/agent/ports/index";
import { type Child, startChild, temporaryDirectory } from "../../../kit/child.ts";
import { patienceOf } from "../../../kit/patience.ts";

export const BINARY = "/usr/sbin/bird";
const HOST = "127.77.0.1";

export type Prefix = { readonly path: string; release(): Promise<void> };

/** A directory that looks enough like a host: accounts, /etc/bird, /proc/sys. Its root is whoever runs the test. */
export async function hostPrefix(): Promise<Prefix> {
  const directory = await temporaryDirectory("host");
  const { uid, gid } = userInfo();
  const directories = [
    "etc/bird",
    "etc/sysctl.d",
    "etc/systemd/system",
    "run",
    "proc/sys/net/ipv6/conf/all",
    "srv",
  ];
  for (const below of [...directories, ...APT_DIRECTORIES])
    mkdirSync(join(directory.path, below), { recursive: true });
  writeFileSync(join(directory.path, "etc/passwd"), `root:x:${uid}:${gid}::/root:/bin/sh\n`);
  writeFileSync(join(directory.path, "etc/group"), `root:x:${gid}:\nbird:x:${gid}:\n`);
  writeFileSync(join(directory.path, "etc/shadow"), "root:*:20000:0:99999:7:::\n");
  writeFileSync(join(directory.path, "var/lib/dpkg/status"), "");
  writeFileSync(join(directory.path, "proc/sys/net/ipv6/conf/all/forwarding"), "0\n");
  return directory;
}

const APT_DIRECTORIES = [
  ...[
    "etc/apt/apt.conf.d",
    "etc/apt/preferences.d",
    "var/lib/apt/lists/partial",
    "var/cache/apt/archives/partial",
  ],
  ...["var/lib/dpkg/info", "var/lib/dpkg/updates", "var/log/apt"],
];

/** apt and dpkg of this machine, with everything that they read and write below the prefix. */
export const aptOptions = (prefix: string) => [
  `Dir=${prefix}`,
  `Dir::State::status=${prefix}/var/lib/dpkg/status`,
  "Dir::Bin::dpkg=/usr/bin/dpkg",
  ...["Dir::Cache::pkgcache=", "Dir::Cache::srcpkgcache=", "Dir::Log=var/log/apt"],
  `DPkg::Options::=--root=${prefix}`,
  ...["DPkg::Options::=--force-not-root", "APT::Sandbox::User=root"],
];

export function portsBelow(prefix: string, signal: AbortSignal): Ports {
  const run = createRun();
  const files = createFiles(prefix);
  return {
    files,
    blobs: createBlobs(join(prefix, "contents")),
    run,
    runStreamed: createRunStreamed(),
    packages: createPackages({
      files,
      run,
      // There is no systemd below a prefix that could have a unit.
      async task({ command: [program = "", ...args], environment, limit_ms, log }, life) {
        const assignments = Object.entries(environment).map(([key, value]) => `${key}=${value}`);
        const result = await run("env", [...assignments, program, ...args], { timeout_ms: limit_ms }, life);
        writeFileSync(log, result.stdout + result.stderr);
        return result.code;
      },
      now: Date.now,
      apt_options: aptOptions(prefix),
    }),
    users: createUsers(files, run),
    confined: null,
    drain: () => null,
    systemd: createSystemd(run, { marker: join(prefix, "run/systemd/system") }),
    routing: createRouting(
      { socketPath: join(prefix, "run/bird.ctl"), binary: BINARY, run, own_change_ms: 2_000 },
      signal,
    ),
    frr: createFrr({ socketPath: join(prefix, "run/bgpd.vty") }, signal),
    gobgp: createGobgp({ address: join(prefix, "run/gobgp.sock") }, signal),
    docker: createDocker(join(prefix, "run/docker.sock")),
    pulls: createAttempts(Date.now),
    now: Date.now,
  };
}

export type Neighbour = {
  readonly name: string;
  readonly address: string;
  readonly as: number;
  readonly routes: number;
};

export const UPSTREAM: Neighbour = { name: "upstream", address: "127.77.0.2", as: 64496, routes: 20 };
export const CORE1: Neighbour = { name: "core1", address: "127.77.0.3", as: 64500, routes: 2 };

const TIMERS = "connect delay time 1; connect retry time 1; error wait time 1, 2; startup hold time 30;";

/** The configuration under test: `filter` is the body of the import filter, `sessions` which of them are declared. */
export function config(port: number, sessions: readonly Neighbour[], filter = "accept;", more = ""): string {
  return [
    "router id 10.77.0.1;",
    "protocol device {}",
    "protocol static announced { ipv4; route 192.0.2.0/24 unreachable; }",
    `filter from_peer { ${filter} }`,
    more,
    ...sessions.map(
      ({ name, address, as }) =>
        `protocol bgp ${name} {\n  local ${HOST} port ${port} as 64500;\n  neighbor ${address} port ${port} as ${as};\n` +
        `  multihop; strict bind yes; ${TIMERS}\n  ipv4 { import filter from_peer; export all; };\n}`,
    ),
    "",
  ].join("\n");
}

/** Starts a neighbour; its directory lies below the prefix. */
export function startNeighbour(prefix: string, port: number, neighbour: Neighbour): Child {
  const directory = join(prefix, `neighbour-${neighbour.name}`);
  mkdirSync(directory, { recursive: true });
  const routes = Array.from(
    { length: neighbour.routes },
    (_, n) => `route 10.${neighbour.as % 200}.${n}.0/24 unreachable;`,
  );
  const text = [
    `router id ${neighbour.address};`,
    "protocol device {}",
    `protocol static own { ipv4; ${routes.join(" ")} }`,
    `protocol bgp host { local ${neighbour.address} port ${port} as ${neighbour.as}; neighbor ${HOST} port ${port} as 64500;`,
    `  multihop; strict bind yes; ${TIMERS} ipv4 { import all; export where source = RTS_STATIC; }; }`,
    "",
  ].join("\n");
  writeFileSync(join(directory, "bird.conf"), text);
  return startChild(BINARY, [
    "-f",
    "-c",
    join(directory, "bird.conf"),
    "-s",
    join(directory, "bird.ctl"),
    "-P",
    join(directory, "pid"),
  ]);
}

/** Starts the managed BIRD from its boot file. `env`: beside what it would have anyway. */
export function startBird(prefix: string, env: Readonly<Record<string, string>> = {}): Child {
  const files = { "-c": "etc/bird/bird.conf", "-s": "run/bird.ctl", "-P": "run/bird.pid" };
  const args = Object.entries(files).flatMap(([option, file]) => [option, join(prefix, file)]);
  return startChild(BINARY, ["-f", ...args], { PATH: process.env.PATH ?? "", ...env });
}

/** Waits until `done` holds, asking ten times a second. */
export async function until(what: string, limit_ms: number, done: () => Promise<boolean>): Promise<void> {
  const patience = patienceOf(limit_ms);
  while (!(await done())) {
    if (patience.over()) throw new Error(`not within ${patience.text()}: ${what}`);
    await sleep(100);
  }
}

/** Sessions that are up, and what they import, such as `{ upstream: 20 }`; none while BIRD is away. */
export async function imports(ports: Ports, signal: AbortSignal): Promise<Record<string, number>> {
  if (!(await ports.routing.running(signal))) return {};
  const { sessions } = await ports.routing.sessions(signal);
  return Object.fromEntries(
    sessions
      .filter(({ state }) => state === "established")
      .map(({ name, channels }) => [
        name,
        channels.reduce((sum, channel) => sum + (channel.imported ?? 0), 0),
      ]),
  );
}
