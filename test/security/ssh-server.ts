/** A real sshd on loopback and a real ssh that dials it, each with files of its own: nothing of this machine's ssh is read or changed. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { getuid } from "node:process";
import { promisify } from "node:util";
import { makeSshKey } from "@muster/agent/sshkey";
import { freePort, startChild } from "../kit/child.ts";

const SSHD = "/usr/sbin/sshd";
/** Where Debian's sshd wants an empty directory as root; its unit makes it otherwise. */
const EMPTY = "/run/sshd";
const DIAL_MS = 20_000;
const PATH = process.env.PATH ?? "";

/** A key of a host or person, and the certificate that goes with it. */
export type SshPaper = { readonly key_file: string; readonly public_key: string };

export type SshServer = {
  readonly port: number;
  /** What it said since it began; the reason of a refusal is in it. */
  output(): string;
  stop(): Promise<void>;
};

/** Makes a key below a directory, `name` and `name.pub`. */
export async function sshKey(directory: string, name: string): Promise<SshPaper> {
  const { private_text, public_key } = makeSshKey(name);
  const key_file = join(directory, name);
  await writeFile(key_file, private_text, { mode: 0o600 });
  await writeFile(`${key_file}.pub`, `${public_key}\n`);
  return { key_file, public_key };
}

/** Shows `host` with that certificate (null = the bare key) and lets in whom `user_cas` vouch for under the name of the account itself. */
export async function startSshd(
  directory: string,
  host: SshPaper,
  certificate: string | null,
  trusts: { user_cas: readonly string[]; krl: Uint8Array },
): Promise<SshServer> {
  if (getuid?.() === 0) await mkdir(EMPTY, { recursive: true, mode: 0o755 });
  const port = await freePort();
  const at = (name: string) => join(directory, `${port}-${name}`);
  await writeFile(at("user-cas"), trusts.user_cas.map((line) => `${line}\n`).join(""));
  await writeFile(at("krl"), trusts.krl);
  if (certificate !== null) await writeFile(at("cert.pub"), `${certificate}\n`);
  const settings = {
    Port: port,
    ListenAddress: "127.0.0.1",
    HostKey: host.key_file,
    ...(certificate === null ? {} : { HostCertificate: at("cert.pub") }),
    TrustedUserCAKeys: at("user-cas"),
    RevokedKeys: at("krl"),
    AuthorizedKeysFile: "none",
    AuthenticationMethods: "publickey",
    PermitRootLogin: "yes",
    UsePAM: "no",
    PidFile: "none",
    LogLevel: "VERBOSE",
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} ${value}\n`);
  await writeFile(at("sshd_config"), lines.join(""));
  const child = startChild(SSHD, ["-D", "-e", "-f", at("sshd_config")], { PATH });
  await child.until(async () => child.output().includes("Server listening"));
  return { port, output: child.output, stop: () => child.stop() };
}

/** An ssh-agent that holds one key with a certificate, of whatever type it is. */
export async function startSshAgent(
  directory: string,
  paper: SshPaper,
  certificate: string,
): Promise<{ socket: string; stop(): Promise<void> }> {
  const place = await mkdtemp(join(directory, "agent-"));
  const [socket, key] = [join(place, "socket"), join(place, "key")];
  await copyFile(paper.key_file, key);
  await writeFile(`${key}-cert.pub`, `${certificate}\n`);
  const child = startChild("ssh-agent", ["-D", "-a", socket], { PATH });
  await child.until(async () => existsSync(socket));
  await promisify(execFile)("ssh-add", [key], { env: { PATH, SSH_AUTH_SOCK: socket } });
  return { socket, stop: () => child.stop() };
}

/** What a person's ssh believes, and who he says he is. */
export type Dial = {
  /** The name that he types. */
  readonly host: string;
  readonly known_hosts: string;
  /** A revocation list of host keys; null = none. */
  readonly revoked: string | null;
  readonly user: string;
  readonly person: SshPaper;
  /** File of the certificate; null = the bare key. */
  readonly certificate: string | null;
  /** Socket of an ssh-agent whose keys are offered instead; null = none. */
  readonly agent: string | null;
};

/** Runs `true` there. `code` is ssh's: 0 = it ran, 255 = ssh itself refused or was refused. */
export function dial(server: SshServer, wish: Dial): Promise<{ code: number; said: string }> {
  const options = {
    BatchMode: "yes",
    ConnectTimeout: 15,
    ...(wish.agent === null
      ? { IdentitiesOnly: "yes", IdentityFile: wish.person.key_file }
      : { IdentityAgent: wish.agent }),
    ...(wish.certificate === null ? {} : { CertificateFile: wish.certificate }),
    UserKnownHostsFile: wish.known_hosts,
    GlobalKnownHostsFile: "/dev/null",
    StrictHostKeyChecking: "yes",
    UpdateHostKeys: "no",
    HostKeyAlias: wish.host,
    ...(wish.revoked === null ? {} : { RevokedHostKeys: wish.revoked }),
  };
  const words = Object.entries(options).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  const target = ["-F", "none", "-p", String(server.port), ...words, `${wish.user}@127.0.0.1`, "true"];
  return new Promise((resolve, reject) => {
    execFile("ssh", target, { env: { PATH }, timeout: DIAL_MS }, (error, stdout, stderr) => {
      const said = `${stdout}${stderr}`;
      if (error === null) resolve({ code: 0, said });
      else if (typeof error.code === "number") resolve({ code: error.code, said });
      else reject(new Error(`ssh did not end by itself: ${error.message}\n${said}`));
    });
  });
}
