/**
 * The peers on the same job and in the same run: pyinfra and Ansible over ssh, to a sshd of this measurement's own on loopback. Every "host" is an entry of their
 * inventory that leads to it and has a directory of its own, so that they pay for connections, processes and copies, and for no network.
 */
import { execFile, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { homedir, userInfo } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Child, freePort, startChild, temporaryDirectory } from "../test/kit/child.ts";

const run = promisify(execFile);
const SSHD = "/usr/sbin/sshd";
const PACKAGES = ["ansible-core==2.19.14", "pyinfra==3.10.0"];
const INSTALL_LIMIT_MS = 600_000;
const RUN_LIMIT_MS = 300_000;

export type Peer = {
  readonly name: string;
  /** On how many. */
  readonly hosts: number;
  /** Puts `count` files with that text on all hosts; milliseconds from start to end. Errors: its exit code and last words. */
  apply(count: number, text: string): Promise<number>;
};
export type Peers = { readonly all: readonly Peer[]; readonly versions: string; stop(): Promise<void> };

/** Why they cannot be measured here; null when they can. */
export function peersMissing(): string | null {
  if (!existsSync(SSHD)) return `no ${SSHD} (Debian: apt-get install openssh-server)`;
  if (spawnSync("python3", ["-m", "venv", "--help"]).status !== 0)
    return "no python3 with venv (Debian: apt-get install python3-venv)";
  return null;
}

/**
 * Installs them once, below the user's cache directory, and starts the sshd. Ansible gets `ansible_size` hosts: of each file it makes two to four modules, each of
 * them some ssh and a Python, a second of processor time a file; ten hosts keep two cores busy for minutes.
 */
export async function startPeers(size: number, ansible_size: number): Promise<Peers> {
  const venv = join(
    process.env.XDG_CACHE_HOME || join(homedir(), ".cache"),
    "muster",
    `peers-${PACKAGES.join("-").replace(/[^\w.-]/g, "")}`,
  );
  if (!existsSync(join(venv, "bin/pyinfra"))) {
    await run("python3", ["-m", "venv", venv]);
    await run(join(venv, "bin/pip"), ["install", "-q", ...PACKAGES], { timeout: INSTALL_LIMIT_MS });
  }
  const { path: directory, release } = await temporaryDirectory("peers");
  const file = (name: string) => join(directory, name);
  const port = await freePort();
  for (const key of ["host", "user"])
    await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", file(key)]);
  await run("cp", [file("user.pub"), file("authorized")]);
  await mkdir("/run/sshd", { recursive: true }).catch(() => undefined);
  const settings = [
    `Port ${port}`,
    "ListenAddress 127.0.0.1",
    `HostKey ${file("host")}`,
    `AuthorizedKeysFile ${file("authorized")}`,
    "StrictModes no",
    "UsePAM no",
    `PidFile ${file("sshd.pid")}`,
    "MaxStartups 200",
    "MaxSessions 200",
    "Subsystem sftp internal-sftp",
    // bash reads ~/.bashrc at every command that comes by ssh, and a person's may take longer than all that is measured (pyenv: 0.3 s each).
    `SetEnv HOME=${directory}`,
  ];
  await writeFile(file("sshd_config"), `${settings.join("\n")}\n`);
  const sshd: Child = startChild(SSHD, ["-D", "-e", "-f", file("sshd_config")]);
  const user = userInfo().username;
  const ssh = [
    "-p",
    String(port),
    "-i",
    file("user"),
    "-o",
    "StrictHostKeyChecking=no",
    "-o",
    `UserKnownHostsFile=${file("known")}`,
    "-o",
    "BatchMode=yes",
  ];
  await sshd.until(async () => spawnSync("ssh", [...ssh, `${user}@127.0.0.1`, "true"]).status === 0);

  const names = Array.from({ length: size }, (_, at) => `p${at + 1}`);
  const environment = {
    ...process.env,
    HOME: directory,
    ANSIBLE_CONFIG: file("ansible.cfg"),
    ANSIBLE_LOCALHOST_WARNING: "False",
  };
  const time = async (program: string, args: readonly string[]): Promise<number> => {
    const began = performance.now();
    await run(join(venv, "bin", program), args, {
      cwd: directory,
      env: environment,
      maxBuffer: 64 * 1024 * 1024,
      timeout: RUN_LIMIT_MS,
    });
    return performance.now() - began;
  };
  const versions = await Promise.all(
    ["ansible", "pyinfra"].map(async (program) =>
      (await run(join(venv, "bin", program), ["--version"])).stdout.split("\n")[0]?.trim(),
    ),
  );
  const inventory = names
    .slice(0, ansible_size)
    .map(
      (name) =>
        `${name} ansible_host=127.0.0.1 ansible_port=${port} ansible_user=${user} ansible_ssh_private_key_file=${file("user")} into=${file(`a-${name}`)}`,
    );
  await writeFile(file("hosts.ini"), `${inventory.join("\n")}\n`);
  const python = join(venv, "bin/python");
  await writeFile(
    file("ansible.cfg"),
    `[defaults]\nhost_key_checking=False\nforks=50\ngathering=explicit\ninterpreter_python=${python}\n[ssh_connection]\npipelining=True\n`,
  );

  const ansible: Peer = {
    name: "Ansible",
    hosts: inventory.length,
    async apply(count, text) {
      const numbers = Array.from({ length: count }, (_, at) => at).join(",");
      await writeFile(file("one.j2"), `${text} {{ item }}\n`);
      await writeFile(
        file("play.yml"),
        `- hosts: all\n  gather_facts: false\n  tasks:\n    - file: { path: "{{ into }}", state: directory }\n    - template: { src: one.j2, dest: "{{ into }}/{{ item }}.conf", mode: "0644" }\n      loop: [${numbers}]\n`,
      );
      return time("ansible-playbook", ["-i", "hosts.ini", "play.yml"]);
    },
  };
  const pyinfra: Peer = {
    name: "pyinfra",
    hosts: size,
    async apply(count, text) {
      const data = {
        ssh_hostname: "127.0.0.1",
        ssh_port: port,
        ssh_user: user,
        ssh_key: file("user"),
        ssh_strict_host_key_checking: "no",
      };
      const rows = names.map(
        (name) => `("${name}", ${JSON.stringify({ ...data, into: file(`p-${name}`) })})`,
      );
      await writeFile(file("inventory.py"), `edge = [${rows.join(", ")}]\n`);
      await writeFile(file("one.py.j2"), `${text} {{ item }}\n`);
      await writeFile(
        file("deploy.py"),
        `from pyinfra import host\nfrom pyinfra.operations import files\nfiles.directory(path=host.data.into)\nfor item in range(${count}):\n    files.template(src="one.py.j2", dest=f"{host.data.into}/{item}.conf", mode="644", item=item)\n`,
      );
      return time("pyinfra", ["-y", "inventory.py", "deploy.py"]);
    },
  };
  return {
    all: [pyinfra, ansible],
    versions: versions.join(", "),
    async stop() {
      await sshd.stop();
      await release();
    },
  };
}
