/**
 * What the fleet revoked for ssh, as its trust bundle has it, in sshd: a key revocation list beside a drop-in that names it. With a list that it cannot read
 * sshd refuses every key, so that the list is looked at by OpenSSH itself before it lies where sshd reads it, the drop-in comes after the list and goes
 * before it, and all is taken back when sshd does not say that it reads it. A newer list needs no reload: sshd reads it at every log-in.
 * Source: sshd_config(5), RevokedKeys; ssh-keygen(1), -Q.
 */
import { join } from "node:path";
import type { Log } from "@muster/ports/log";
import { FleetError } from "@muster/protocol/errors";
import type { AgentConfig, Places } from "./config.ts";
import { readText } from "./config.ts";
import type { Events } from "./events.ts";
import type { Identity } from "./identity.ts";
import type { Ports } from "./ports/index.ts";
import {
  putBack,
  REVOKED_LIST,
  REVOKED_SNIPPET,
  reloadSshd,
  runChecked,
  SSHD_FILE,
  sshdProgram,
} from "./sshd.ts";
import { writeSynced } from "./store.ts";
import type { Trust } from "./trust.ts";
import { Bell, jittered } from "./wait.ts";

const SNIPPET_TEXT = `# Written by muster-agent: keys and certificates that the fleet revoked.\nRevokedKeys ${REVOKED_LIST}\n`;
const LIST_BYTES = 2 * 1024 * 1024;
const LOOK_PERIOD_MS = 3_600_000;
const AGAIN_MS = 60_000;

export type RevokedDoor = {
  readonly config: AgentConfig;
  readonly places: Places;
  readonly identity: Identity;
  readonly trust: Pick<Trust, "bundle" | "onChange">;
  readonly ports: Ports;
  readonly events: Pick<Events, "tell">;
  readonly log: Log;
};

/** Keeps sshd at what the newest bundle revokes, until the signal aborts; also against who removes the list, which would lock everybody out. */
export async function keepRevoked(door: RevokedDoor, signal: AbortSignal): Promise<void> {
  const { config, trust, ports, events, log } = door;
  if (!(config.ssh_certificate ?? config.prefix === "")) return;
  const bell = new Bell();
  trust.onChange(() => bell.ring());
  const failed = (error: FleetError) => log.warn({ err: error }, "the ssh revocation list is watched late");
  ports.files.watch([REVOKED_LIST, REVOKED_SNIPPET], { changed: () => bell.ring(), failed }, signal);
  let told = "";
  while (!signal.aborted) {
    let wait_ms = jittered(LOOK_PERIOD_MS, 0.1);
    try {
      const done = await installRevoked(door, signal);
      if (done !== null) log.info({}, `ssh revocation list: ${done}`);
      told = "";
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      if (signal.aborted) return;
      const what = `what the fleet revoked is not refused by sshd: ${error.message}`;
      if (what !== told) events.tell({ kind: "credentials", severity: "error", what });
      told = what;
      wait_ms = AGAIN_MS;
    }
    await bell.rung(wait_ms, signal);
  }
}

/** Returns what was done in words; null when nothing was to do. Errors: COMMAND_FAILED, FAILED with the reason; sshd is then as it was before. */
export async function installRevoked(door: RevokedDoor, signal: AbortSignal): Promise<string | null> {
  const { places, trust, ports } = door;
  const { files } = ports;
  const krl = trust.bundle?.ssh_krl ?? null;
  const [list, snippet] = await Promise.all([
    files.read(REVOKED_LIST, LIST_BYTES),
    files.read(REVOKED_SNIPPET, LIST_BYTES),
  ]);
  const before = { list, snippet };
  // A bundle is only ever followed by one that revokes more; without a list there was none, or the fleet is another.
  if (krl === null) return before.snippet === null ? null : takeAway(ports, signal);
  const wanted = Buffer.from(krl, "base64");
  const same = before.list?.equals(wanted) === true && before.snippet?.toString() === SNIPPET_TEXT;
  // On disk is not enough: who dies before the reload leaves files that sshd has never read.
  const read_file = join(places.certificates, "ssh-revoked-read");
  const read = readText(read_file) === "yes";
  if (same && read) return null;
  const sshd = await sshdProgram(ports);
  if (sshd === null) return null;
  await lookAt(wanted, door, signal);
  await refuseAnother(sshd, ports, signal);
  try {
    await files.replace(REVOKED_LIST, wanted, SSHD_FILE);
    if (before.snippet?.toString() === SNIPPET_TEXT && read) return `${krlText(wanted)}`;
    await files.makeDirectory("/etc/ssh/sshd_config.d", { ...SSHD_FILE, mode: "0755" });
    await files.replace(REVOKED_SNIPPET, Buffer.from(SNIPPET_TEXT), SSHD_FILE);
    await runChecked(ports, sshd, ["-t"], signal);
    if ((await listOf(sshd, ports, signal)) !== REVOKED_LIST)
      throw new FleetError(
        "FAILED",
        `sshd does not read ${REVOKED_SNIPPET}: its configuration has no Include for it`,
      );
    const runs = await reloadSshd(ports, signal);
    await writeSynced(read_file, "yes");
    return `${krlText(wanted)}${runs ? "" : "; sshd does not run, it reads it when it starts"}`;
  } catch (error) {
    await putBack(REVOKED_SNIPPET, before.snippet, ports);
    await putBack(REVOKED_LIST, before.list, ports);
    await reloadSshd(ports, signal).catch(() => {
      // The first error says what matters; sshd runs on with what it has in memory.
    });
    throw error;
  }
}

const krlText = (krl: Buffer) => `${krl.length} bytes, read at every log-in`;

/** OpenSSH's own look at the list, where sshd does not see it: 0 and 1 say whether a key is in it, anything else that it is no list. */
async function lookAt(
  krl: Buffer,
  { places, identity, ports }: RevokedDoor,
  signal: AbortSignal,
): Promise<void> {
  const list = join(places.certificates, "ssh-revoked.krl");
  const key = join(places.certificates, "ssh-own.pub");
  await Promise.all([writeSynced(list, krl), writeSynced(key, `${identity.ssh.public_key}\n`)]);
  await runChecked(ports, "ssh-keygen", ["-Q", "-f", list, key], signal, [0, 1]);
}

/** sshd takes the first list that it is told of: ours would end another's. Errors: FAILED. */
async function refuseAnother(sshd: string, ports: Ports, signal: AbortSignal): Promise<void> {
  const there = await listOf(sshd, ports, signal);
  if (there !== null && there !== REVOKED_LIST)
    throw new FleetError(
      "FAILED",
      `sshd_config names a list of its own (RevokedKeys ${there}): take that line out, or sshd knows nothing of the fleet's`,
    );
}

/** Which list sshd is told of; null for none. */
async function listOf(sshd: string, ports: Ports, signal: AbortSignal): Promise<string | null> {
  const { stdout } = await runChecked(ports, sshd, ["-T"], signal);
  const found = /^revokedkeys (.+)$/m.exec(stdout)?.[1]?.trim() ?? "none";
  return found === "none" ? null : found;
}

async function takeAway(ports: Ports, signal: AbortSignal): Promise<string> {
  await ports.files.remove(REVOKED_SNIPPET);
  await reloadSshd(ports, signal);
  await ports.files.remove(REVOKED_LIST);
  return "the bundle has none: taken away";
}
