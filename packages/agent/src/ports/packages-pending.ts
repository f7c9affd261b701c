/**
 * What apt would renew, by a simulated run over the lists as they are: nothing is fetched and nothing locked. It takes apt half a second of the processor, so
 * that it runs with the lowest priority, and seldom.
 */
import type { PendingPackage } from "@muster/protocol/telemetry/packages";
import type { Run } from "./run.ts";

const LIMIT_MS = 120_000;

export type PendingAnswer = { readonly error: string | null; readonly updates: readonly PendingPackage[] };

/** @param apt_options more options for apt, as `-o` takes them. Errors: COMMAND_FAILED when it cannot be started, CANCELLED. */
export async function pendingPackages(
  run: Run,
  apt_options: readonly string[],
  signal: AbortSignal,
): Promise<PendingAnswer> {
  const options = ["Debug::NoLocking=true", "APT::Get::Show-User-Simulation-Note=false", ...apt_options];
  const args = [
    "-n",
    "19",
    "apt-get",
    "-q",
    ...options.flatMap((each) => ["-o", each]),
    "--simulate",
    "dist-upgrade",
  ];
  const { code, stdout, stderr } = await run("nice", args, { timeout_ms: LIMIT_MS }, signal);
  if (code === 0) return { error: null, updates: readSimulated(stdout) };
  const words = stderr.split("\n").filter((line) => line.startsWith("E:"));
  return {
    error: (words.join("; ") || stderr.trim() || `apt-get ended with ${code}`).slice(0, 500),
    updates: [],
  };
}

/** `Inst NAME [INSTALLED] (OFFERED ORIGIN:RELEASE/SUITE[, …] [ARCH])`, as apt-get --simulate prints it; the security archives call themselves so. */
export function readSimulated(text: string): PendingPackage[] {
  return [...text.matchAll(/^Inst (\S+)(?: \[([^\]]*)\])? \((\S+) ([^)]*)\)/gm)].map(
    ([, name = "", installed, offered = "", from = ""]) => ({
      name,
      installed: installed ?? null,
      offered,
      security: /security/i.test(from),
    }),
  );
}
