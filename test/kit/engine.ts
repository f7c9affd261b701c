/**
 * A Docker engine of a test's own beside the machine's: own data, own socket, bridges without packet filter. Images are made of busybox. Needs root,
 * `dockerd` and `busybox` (deploy/lab/programs.mjs puts them in place).
 */
import { execFile, execFileSync, spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Child, startChild, temporaryDirectory } from "./child.ts";

export interface Engine {
  readonly socket: string;
  /** A number from 1 to 250 that no other engine of tests has: for subnets. */
  readonly number: number;
  /** The docker command against it. */
  docker(...args: string[]): string;
  /** The same without standing still, for what talks to a server in this process. */
  dockerBeside(...args: string[]): Promise<string>;
  /** An image whose `/version` holds that text and whose command is `script`; gives its id. */
  image(tag: string, version: string, script: string): string;
  signal(name: NodeJS.Signals): void;
  /** Stops it and waits until it stands still; `signal("SIGCONT")` lets it go on. */
  freeze(): Promise<void>;
  /** Without it the containers are left as they are. */
  kill(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** Why there can be none here; null when there can. */
export const noEngine = (): string | null =>
  process.getuid?.() === 0 ? null : "a Docker engine of its own needs root";

const NUMBERS = 250;
const bridgeOf = (number: number) => `mtest-${number}`;

/** Makes the bridge of a number that nobody has: two engines of tests at the same time have different ones, since the kernel takes a name once. */
function takeNumber(): number {
  for (let tries = 0; tries < NUMBERS; tries++) {
    const number = 1 + ((process.pid + tries) % NUMBERS);
    const made = spawnSync("ip", ["link", "add", bridgeOf(number), "type", "bridge"], { encoding: "utf8" });
    if (made.status === 0) return number;
    if (!/File exists/.test(made.stderr)) throw new Error(`no bridge for an engine: ${made.stderr}`);
  }
  throw new Error(`${NUMBERS} bridges mtest-… are there: remove those that nobody uses (ip link delete)`);
}

/** @param socket where it is to listen */
export async function startEngine(socket: string): Promise<Engine> {
  const home = await temporaryDirectory("docker");
  const at = (name: string) => join(home.path, name);
  const number = takeNumber();
  const bridge = bridgeOf(number);
  execFileSync("ip", ["address", "add", `10.214.${number}.1/24`, "dev", bridge]);
  const args = [
    ...[
      "--data-root",
      at("data"),
      "--exec-root",
      at("exec"),
      "--pidfile",
      at("pid"),
      "-H",
      `unix://${socket}`,
    ],
    // With "none" an engine removes docker0 from the machine, which is the other engine's.
    ...["--bridge", bridge, "--iptables=false", "--ip6tables=false", "--storage-driver", "vfs"],
    ...[
      "--containerd-namespace",
      `test${process.pid}`,
      "--containerd-plugins-namespace",
      `plugins${process.pid}`,
    ],
    ...["--insecure-registry", "127.0.0.0/8", "--shutdown-timeout", "3"],
  ];
  const env = { PATH: `${process.env.PATH}:/usr/sbin:/sbin`, HOME: home.path };
  let child: Child | null = null;
  const docker = (...words: string[]) =>
    execFileSync("docker", ["-H", `unix://${socket}`, ...words], {
      env,
      encoding: "utf8",
      stdio: "pipe",
    }).trim();
  const answers = async () => {
    try {
      docker("version");
      return true;
    } catch {
      return false;
    }
  };
  const start = async () => {
    child = startChild("dockerd", args, env);
    await child.until(answers);
  };
  await start();
  return {
    socket,
    number,
    docker,
    async dockerBeside(...words) {
      const { stdout } = await promisify(execFile)("docker", ["-H", `unix://${socket}`, ...words], { env });
      return stdout.trim();
    },
    image(tag, version, script) {
      const root = at(`root-${version}`);
      for (const each of ["bin", "tmp", "www", "etc"]) mkdirSync(join(root, each), { recursive: true });
      copyFileSync("/bin/busybox", join(root, "bin/busybox"));
      for (const each of ["sh", "sleep", "httpd", "cat", "nc", "kill", "echo", "true", "test"])
        symlinkSync("busybox", join(root, "bin", each));
      writeFileSync(join(root, "version"), version);
      writeFileSync(join(root, "run"), `#!/bin/sh\n${script}\n`);
      chmodSync(join(root, "run"), 0o755);
      const tar = at(`${version}.tar`);
      execFileSync("tar", ["-C", root, "-cf", tar, "."]);
      return docker("import", "-c", 'CMD ["/run"]', tar, tag);
    },
    signal: (name) => child?.signal(name),
    freeze: async () => child?.freeze(),
    start,
    async kill() {
      await child?.stop("SIGKILL");
      // Its containerd dies with it; where nobody buries orphans, the next one would take it for alive.
      rmSync(at("exec/containerd/containerd.pid"), { force: true });
    },
    async stop() {
      if (!(await answers())) await start();
      try {
        const ids = docker("ps", "-aq").split("\n").filter(Boolean);
        if (ids.length > 0) docker("rm", "-f", ...ids);
        const networks = docker("network", "ls", "-q", "--filter", "type=custom").split("\n").filter(Boolean);
        if (networks.length > 0) docker("network", "rm", ...networks);
      } finally {
        await child?.stop();
        execFileSync("sh", ["-c", `grep -o ' ${home.path}[^ ]*' /proc/mounts | xargs -r umount -l`]);
        execFileSync("ip", ["link", "delete", bridge]);
        await home.release();
      }
    },
  };
}
