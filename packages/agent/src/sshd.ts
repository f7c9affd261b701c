/** sshd of this host, as those need it who write its configuration: where its program is, a checked run, a reload, and files as they were. */
import { FleetError } from "@muster/protocol/errors";
import type { Ports } from "./ports/index.ts";

export const SSHD_FILE = { owner: "root", group: "root", mode: "0644" } as const;
export const SSHD_LIMIT_MS = 15_000;
export const CERTIFICATE_SNIPPET = "/etc/ssh/sshd_config.d/50-muster.conf";
export const REVOKED_SNIPPET = "/etc/ssh/sshd_config.d/51-muster-revoked.conf";
export const REVOKED_LIST = "/etc/ssh/muster-revoked.krl";

/** False when sshd does not run. */
export async function reloadSshd(ports: Ports, signal: AbortSignal): Promise<boolean> {
  if (!(await ports.systemd.available())) return false;
  const units = await ports.systemd.units(["ssh", "sshd"], signal);
  for (const [name, facts] of units) {
    if (facts.active !== "active") continue;
    await ports.systemd.act("reload", name, signal);
    return true;
  }
  return false;
}

/** Null where there is none. */
export async function sshdProgram(ports: Ports): Promise<string | null> {
  for (const path of ["/usr/sbin/sshd", "/usr/bin/sshd"]) {
    if ((await ports.files.facts(path)) !== null) return ports.files.real(path);
  }
  return null;
}

/** Errors: COMMAND_FAILED with its own words for any exit code but these. */
export async function runChecked(
  ports: Ports,
  file: string,
  args: readonly string[],
  signal: AbortSignal,
  good: readonly number[] = [0],
) {
  const result = await ports.run(file, args, { timeout_ms: SSHD_LIMIT_MS }, signal);
  if (!good.includes(result.code ?? -1))
    throw new FleetError("COMMAND_FAILED", `${file} ${args.join(" ")}: ${result.stderr.slice(0, 500)}`);
  return result;
}

/** Null: there was none. */
export async function putBack(path: string, content: Buffer | null, ports: Ports): Promise<void> {
  if (content === null) await ports.files.remove(path);
  else await ports.files.replace(path, content, SSHD_FILE);
}
