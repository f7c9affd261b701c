/**
 * Puts issued certificates where they serve: the service's with its chain and key into the state directory, the ssh host certificate into
 * sshd. The latter is checked before and after: a certificate that sshd cannot read passes `sshd -t`, so the one that it really shows is
 * compared with ours, and everything is taken back when it is another.
 */
import { join } from "node:path";
import type { Log } from "@muster/ports/log";
import type { TrustBundle } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import { type AgentConfig, type Places, readText } from "./config.ts";
import type { CredentialStore, KeptCredentials } from "./credentials.ts";
import type { Events } from "./events.ts";
import type { Identity } from "./identity.ts";
import type { Ports } from "./ports/index.ts";
import {
  CERTIFICATE_SNIPPET,
  putBack,
  reloadSshd,
  runChecked,
  SSHD_FILE,
  SSHD_LIMIT_MS,
  sshdProgram,
} from "./sshd.ts";
import { readSshCertificate } from "./sshkey.ts";
import { writeSynced } from "./store.ts";
import type { Trust } from "./trust.ts";
import { atMost } from "./turns.ts";
import { pause } from "./wait.ts";

const CERTIFICATE = "/etc/ssh/ssh_host_ed25519_key-cert.pub";
const SNIPPET_TEXT = `# Written by muster-agent: the host certificate, so that nobody is asked about an unknown key.\nHostCertificate ${CERTIFICATE}\n`;
const TEXT_LIMIT_BYTES = 65_536;

export type InstallDoor = {
  readonly config: AgentConfig;
  readonly places: Places;
  readonly identity: Identity;
  readonly credentials: Pick<CredentialStore, "kept">;
  readonly trust: Pick<Trust, "bundle">;
  readonly ports: Ports;
  readonly events: Pick<Events, "tell">;
  readonly log: Log;
};

/**
 * Gives what puts the newest certificates where they serve; an event tells what went wrong. Certificates are renewed beside each other, and installed one
 * after the other: each takes what is newest when its turn comes, so that no older one is the last.
 */
export function createInstaller(door: InstallDoor, signal: AbortSignal): () => Promise<void> {
  const { config, places, identity, credentials, trust, ports, events, log } = door;
  const inTurn = atMost(1);
  const install = async (): Promise<void> => {
    const { kept } = credentials;
    if (kept === null) return;
    try {
      await installService(kept, identity, trust.bundle, places);
      const done = await installSsh(kept, config, places, ports, signal);
      if (done !== null) log.info({}, `ssh host certificate: ${done}`);
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      const what = `certificates are not installed: ${error.message}`;
      events.tell({ kind: "credentials", severity: "error", what });
    }
  };
  return () => inTurn(install);
}

/** Writes the service certificate, its key and the CA of services. */
async function installService(
  kept: KeptCredentials,
  identity: Identity,
  bundle: TrustBundle | null,
  places: Places,
): Promise<void> {
  const at = (name: string) => join(places.certificates, name);
  await writeSynced(at("service.key"), identity.tls_pem);
  await writeSynced(at("service.crt"), kept.credentials.service_certificate);
  if (bundle !== null) await writeSynced(at("ca.crt"), bundle.services_ca.join("\n"));
}

/**
 * Installs the ssh host certificate and proves that sshd shows it. Returns what was done in words; null when nothing was to do.
 * Errors: COMMAND_FAILED or FAILED with the reason; sshd is then as it was before.
 */
async function installSsh(
  kept: KeptCredentials,
  config: AgentConfig,
  places: Places,
  ports: Ports,
  signal: AbortSignal,
): Promise<string | null> {
  if (!(config.ssh_certificate ?? config.prefix === "")) return null;
  const { files } = ports;
  const line = `${kept.credentials.ssh_certificate.trim()}\n`;
  const before = {
    certificate: await files.read(CERTIFICATE, TEXT_LIMIT_BYTES),
    snippet: await files.read(CERTIFICATE_SNIPPET, TEXT_LIMIT_BYTES),
  };
  // On disk is not enough: who dies before the reload leaves files that sshd has never read.
  const { serial } = readSshCertificate(line);
  const seen_file = join(places.certificates, "ssh-serial-seen");
  const seen = readText(seen_file) === String(serial);
  if (seen && before.certificate?.toString() === line && before.snippet?.toString() === SNIPPET_TEXT)
    return null;
  const sshd = await sshdProgram(ports);
  await files.replace(CERTIFICATE, Buffer.from(line), SSHD_FILE);
  if (sshd === null) return "kept for sshd, which is not installed";
  try {
    await files.makeDirectory("/etc/ssh/sshd_config.d", { ...SSHD_FILE, mode: "0755" });
    await files.replace(CERTIFICATE_SNIPPET, Buffer.from(SNIPPET_TEXT), SSHD_FILE);
    await runChecked(ports, "ssh-keygen", ["-L", "-f", files.real(CERTIFICATE)], signal);
    await runChecked(ports, sshd, ["-t"], signal);
    const done = await reloadAndCompare(kept, sshd, ports, signal);
    await writeSynced(seen_file, String(serial));
    return done;
  } catch (error) {
    await putBack(CERTIFICATE, before.certificate, ports);
    await putBack(CERTIFICATE_SNIPPET, before.snippet, ports);
    await reloadSshd(ports, signal).catch(() => {
      // The first error says what matters; sshd runs on with what it has in memory.
    });
    throw error;
  }
}

async function reloadAndCompare(
  kept: KeptCredentials,
  sshd: string,
  ports: Ports,
  signal: AbortSignal,
): Promise<string> {
  const listens = listenersOf((await runChecked(ports, sshd, ["-T"], signal)).stdout);
  if (!(await reloadSshd(ports, signal))) return "installed; sshd does not run, it shows it when it starts";
  const ours = readSshCertificate(kept.credentials.ssh_certificate);
  for (let tries = 0; tries < 10; tries++) {
    for (const { address, port } of listens) {
      const scan = await ports.run(
        "ssh-keyscan",
        ["-c", "-T", "3", "-t", "ed25519", "-p", port, address],
        { timeout_ms: SSHD_LIMIT_MS },
        signal,
      );
      const shown = scan.stdout.split("\n").some((each) => each.includes(ours.blob));
      if (shown) return `installed; sshd shows serial ${ours.serial}`;
    }
    await pause(300, signal);
  }
  throw new FleetError(
    "FAILED",
    `sshd on ${listens.map(({ address, port }) => `${address} port ${port}`).join(", ")} does not show the host certificate with serial ${ours.serial}`,
  );
}

/** Where sshd listens, by `sshd -T` (`listenaddress [::]:22`); all addresses of a family are asked for on its loopback. */
export function listenersOf(settings: string): { address: string; port: string }[] {
  const lines = [...settings.matchAll(/^listenaddress \[?([0-9A-Fa-f:.]+)\]?:(\d+)$/gm)];
  return lines.map(([, address = "", port = ""]) => ({
    address: { "0.0.0.0": "127.0.0.1", "::": "::1" }[address] ?? address,
    port,
  }));
}
